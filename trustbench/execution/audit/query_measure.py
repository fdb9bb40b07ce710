"""Measures a given model by queries: its numbers are means over rows, and so are their draws."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from trustbench.contracts import Access, Array, Evaluator, Measured, System
from trustbench.contracts.metrics import all_of, find
from trustbench.execution.audit.measure import (
    NO_INTERVAL,
    RowMeasurements,
    RowMetric,
    measured_or_reason,
    missing_access,
)
from trustbench.execution.audit.redraws import redrawn


def needs_only_queries(evaluator: Evaluator) -> bool:
    """Whether an evaluator queries the model, and needs nothing that only a trained arm offers."""
    offered: frozenset[Access] = frozenset({"logits", "queries"})
    return "queries" in evaluator.access and evaluator.access <= offered


def measure_by_queries(
    system: System, evaluators: Mapping[str, Evaluator], draws: int
) -> RowMeasurements:
    """The metrics of evaluators that ask the model, with `draws` draws of the rows asked about.

    Two models that are asked about the same rows meet the same draws.
    """
    found: dict[str, RowMetric] = {}
    missing: dict[str, str] = {}
    for name, evaluator in evaluators.items():
        reason = missing_access(evaluator, system.access) or evaluator.supports(system)
        measured, why = measured_or_reason(name, evaluator, system, reason)
        missing |= why
        made = _metrics(name, evaluator, measured, system, draws) if measured else []
        for metric in made:
            if metric.draws is None:
                missing[metric.name] = NO_INTERVAL
            else:
                found[metric.name] = metric
    return RowMeasurements(found, missing)


def all_missing(evaluators: Mapping[str, Evaluator], reason: str) -> RowMeasurements:
    """Every metric of the evaluators as missing, for one reason."""
    names = [f"{name}/{m.name}" for name, e in evaluators.items() for m in all_of(e.metrics)]
    return RowMeasurements({}, dict.fromkeys(names, reason))


def merged(stored: RowMeasurements, queried: RowMeasurements) -> RowMeasurements:
    """Both together; what the model was asked for is missing only if the questions say so."""
    found = {**stored.found, **queried.found}
    asked = {name.partition("/")[0] for name in (*queried.found, *queried.missing)}
    kept = {k: why for k, why in stored.missing.items() if k.partition("/")[0] not in asked}
    missing = {**kept, **queried.missing}
    unmeasured = {k: v for k, v in missing.items() if k not in found}
    return RowMeasurements(found, unmeasured, {**stored.left_out, **queried.left_out})


def _metrics(
    name: str, evaluator: Evaluator, measured: Measured, system: System, draws: int
) -> list[RowMetric]:
    values = {m.name: m for m in measured.measurements}
    drawn = {k: _means(rows[0], system, draws) for k, rows in measured.rows.items()}
    if measured.redraw is not None:
        drawn |= redrawn(measured.redraw, system.streams, draws)
    found = []
    for metric, m in values.items():
        declared = find(evaluator.metrics, metric)
        assert declared is not None  # `check` has looked
        beside = values.get(m.null or "")
        made = RowMetric(
            name=f"{name}/{metric}",
            declared=declared,
            value=float(m.values[0]),
            n=m.n,
            draws=drawn.get(metric),
        )
        if beside is not None:
            made = replace(made, null=float(beside.values[0]), null_draws=drawn.get(str(m.null)))
        found.append(made)
    return found


def _means(rows: Array, system: System, draws: int) -> Array:
    """The means [draws] of rows [n] drawn with replacement; rows without a number do not count."""
    rng = system.streams.numpy("bootstrap", "audit_queries")
    chosen = rng.integers(len(rows), size=(draws, len(rows)))
    return np.asarray(np.nanmean(rows[chosen], axis=1))
