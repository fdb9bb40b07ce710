"""A record as a tracking server shows it: flat parameters, metrics and tags."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from trustbench.contracts.shortening import beginning, shorten
from trustbench.store.records import Evaluation, PluginSpec, ProblemSpec, Record
from trustbench.summary.stats.series import mean_of
from trustbench.summary.table.results import TableResult

LONGEST = 6000  # the maximum length of a parameter value in MLflow
LONGEST_NOTE = 5000  # of a description
WHOLE = "record.json"
EVALUATIONS = "trustbench.evaluations"
"""The tag with the ids of a record's evaluations, separated by blanks."""


class Point(NamedTuple):
    """One value of a metric."""

    name: str
    value: float
    step: int = 0


def params(record: Record) -> dict[str, str]:
    """The arm's configuration under dotted keys, and its facts under `fact.*`.

    A fact such as epsilon is a guarantee, not a measurement, so facts never become metrics.
    """
    arm = record.arm
    flat: dict[str, Any] = {
        **_plugin("dataset", arm.dataset),
        **_plugin("model", arm.model),
        "intervention": "+".join(i.name for i in arm.interventions) or "none",
    }
    for intervention in arm.interventions:
        flat.update(_flat(f"intervention.{intervention.name}", intervention.params))
    for key, evaluation in record.evaluations.items():
        group = _group(record, key, evaluation)
        flat.update(_flat(f"evaluator.{group}", evaluation.evaluator.params))
    flat.update(_flat("training", arm.training))
    if record.pilot is not None:
        flat["training.lr_chosen"] = None if record.pilot.unused else record.pilot.rate
        flat["training.pilot"] = record.pilot.line()
    flat.update(_flat("protocol", arm.protocol))
    flat.update(control=arm.control, seed=arm.seed, engine=arm.engine)
    flat.update({f"fact.{k}": v for k, v in record.facts.items()})
    for k, line in enumerate(record.claims()):
        flat[f"privacy.{k + 1}"] = line
    return {allowed_name(k): shorten(str(v), LONGEST, WHOLE) for k, v in flat.items()}


def metrics(record: Record) -> Iterator[Point]:
    """For every measurement: its mean with the interval that cards print, and each replicate.

    A single replicate has no interval. Replicate r is step r of `<metric>.replicate`. Diagnostics
    are left out; the record has them.
    """
    for key, evaluation in sorted(record.evaluations.items()):
        group = _group(record, key, evaluation)
        for name, measured in evaluation.measurements.items():
            if measured.diagnostic:
                continue
            metric = allowed_name(f"{group}/{name}")
            yield Point(metric, float(np.mean(measured.values)))
            if len(measured.values) > 1:
                mean = mean_of([measured])
                yield Point(f"{metric}.low", mean.low)
                yield Point(f"{metric}.high", mean.high)
            for r, value in enumerate(measured.values):
                yield Point(f"{metric}.replicate", value, r)


def effects(results: Sequence[TableResult]) -> Iterator[Point]:
    """Every effect of a sweep's tables with its interval: `effect/fairness on privacy`.

    The tables of several data sets or models are told apart by their names in front.
    """
    for result in results:
        where = f"{result.dataset}, {result.model}/" if len(results) > 1 else ""
        for cell in result.cells:
            found = cell.estimate.effect
            if found is not None and cell.source is not None:
                name = allowed_name(f"{where}effect/{cell.source.value} on {cell.target}")
                yield Point(name, found.effect)
                yield Point(f"{name}.low", found.low)
                yield Point(f"{name}.high", found.high)


def profile(problem: ProblemSpec) -> dict[str, Any]:
    """The sizes of a problem, for the data set of a run."""
    return {
        "rows": problem.sizes,
        "classes": problem.classes,
        f"test rows by {problem.group_name}": problem.group_sizes,
    }


def tags(record: Record, experiment: str, label: str) -> dict[str, str]:
    """Tags for searching runs. `trustbench.content` changes with any byte of the record."""
    out = {
        "trustbench.kind": "arm",
        "trustbench.arm_id": record.id,
        "trustbench.label": label,
        "trustbench.status": record.status,
        "trustbench.experiment": experiment,
        "trustbench.content": content(record),
        "trustbench.version": str(record.environment.get("trustbench")),
        EVALUATIONS: beginning(" ".join(sorted(record.evaluations)), LONGEST),
    }
    if record.reason:
        out["trustbench.reason"] = shorten(record.reason, LONGEST, WHOLE)
    return out


def content(record: Record) -> str:
    """A digest of the whole record."""
    return hashlib.sha256(record.model_dump_json().encode()).hexdigest()[:16]


def allowed_name(name: str) -> str:
    """`name` with every character that MLflow refuses in a key replaced by `_`.

    >>> allowed_name("tpr@0.1%")
    'tpr_0.1_'
    """
    return re.sub(r"[^\w.\-/: ]", "_", name).replace("..", "._")


def _group(record: Record, key: str, evaluation: Evaluation) -> str:
    """The evaluator's name, or the evaluation id if several settings of it occur."""
    names = Counter(e.evaluator.name for e in record.evaluations.values())
    return evaluation.evaluator.name if names[evaluation.evaluator.name] == 1 else key


def _plugin(kind: str, spec: PluginSpec) -> dict[str, Any]:
    return {kind: spec.name, **_flat(kind, spec.params)}


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}.{k}": v for k, v in values.items()}
