"""Measures a given model with the evaluators, on its rows and on draws of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import get_args

import numpy as np

from trustbench.contracts import Access, Array, Evaluator, Measured, Measurement, Metric, Streams
from trustbench.contracts.metrics import all_of, check, find
from trustbench.contracts.system import System
from trustbench.errors import Unsupported
from trustbench.execution.audit.answers import AuditRows
from trustbench.execution.audit.draws import EACH, STACKS, Stack, identity, stacks
from trustbench.execution.audit.intervals import RowInterval, bootstrap, exact
from trustbench.execution.audit.redraws import redrawn
from trustbench.execution.audit.row_system import row_system
from trustbench.execution.audit.stages import begin

Attacked = Callable[[System], System]

LEFT_OUT = "left_out"
"""The end of a fact that names the groups without enough rows."""
BYTES = 2**28
"""Maximum size of the answers in one stack."""
NO_INTERVAL = "has no interval over rows, and an audit leaves such numbers out"
NOT_ASKED = "needs answers of reference models to changed rows, which an audit does not ask"


@dataclass(frozen=True)
class RowMetric:
    """A metric of a given model: its value on the rows, and on draws of them."""

    name: str
    declared: Metric
    value: float
    n: int
    null: float | None = None
    draws: Array | None = None  # [B]
    null_draws: Array | None = None  # [B]

    @property
    def interval(self) -> RowInterval:
        """Exact for a rate, else by the bootstrap."""
        if self.declared.rate:
            return exact(self.value, self.n)
        assert self.draws is not None
        return bootstrap(self.value, self.draws, self.declared)

    @property
    def excess(self) -> RowInterval | None:
        """The number beyond what random groups show; None without such a null."""
        if self.null is None or self.draws is None or self.null_draws is None:
            return None
        return bootstrap(self.value - self.null, self.draws - self.null_draws)


@dataclass(frozen=True)
class RowMeasurements:
    """What was measured, `evaluator/metric` -> number, and why the rest was not."""

    found: Mapping[str, RowMetric] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    """`evaluator/fact` -> groups that a comparison leaves out, since they have too few rows."""


def measure(
    rows: AuditRows,
    evaluators: Mapping[str, Evaluator],
    streams: Streams,
    draws: int,
    attacked: Attacked | None = None,
) -> RowMeasurements:
    """Every metric of the evaluators on the test rows, with about `draws` draws of the rows.

    `attacked` adds reference models to the system, for attacks that read them. Two models with the
    same rows meet the same draws.
    """
    alone = row_system(rows, identity(len(rows.test), len(rows.members)), streams)
    beside = alone if attacked is None else attacked(alone)
    missing: dict[str, str] = {}
    points: dict[str, Measured] = {}
    for name, evaluator in evaluators.items():
        whole = beside if "shadows" in evaluator.needs else alone
        reason = (
            _withheld(evaluator, whole.access, rows.access | whole.access)
            or evaluator.supports(whole)
            or (_without_interval(evaluator) if whole.shadows is None else None)
        )
        measured, why = measured_or_reason(name, evaluator, whole, reason)
        missing |= why
        if measured is not None:
            points[name] = measured
    repeated = {n: evaluators[n] for n in points if evaluators[n].over_rows}
    drawn = _repeat(rows, repeated, streams, draws)
    for name, measured in points.items():
        if measured.redraw is not None:
            own = redrawn(measured.redraw, streams, draws)
            drawn = {**{f"{name}/{k}": v for k, v in own.items()}, **drawn}
    found: dict[str, RowMetric] = {}
    for name, measured in points.items():
        for m in measured.measurements:
            key = f"{name}/{m.name}"
            made = _metric(name, m, measured, evaluators[name], drawn)
            if made.draws is None and not made.declared.rate:
                missing[key] = NO_INTERVAL
            else:
                found[key] = made
    left_out = {
        f"{name}/{fact}": str(groups)
        for name, measured in points.items()
        for fact, groups in measured.facts.items()
        if fact.endswith(LEFT_OUT) and groups
    }
    return RowMeasurements(found, missing, left_out)


def measured_or_reason(
    name: str, evaluator: Evaluator, system: System, reason: str | None
) -> tuple[Measured | None, dict[str, str]]:
    """What an evaluator measures, and why each of its other metrics is missing.

    With a `reason` it is not run; then, and where the system turns out to be unsupported, all of
    its metrics are missing.
    """
    if not reason:
        begin(f"measuring {name}")
    try:
        measured = None if reason else evaluator.measure(system)
    except Unsupported as unsupported:
        measured, reason = None, str(unsupported)
    if measured is None:
        return None, {f"{name}/{m.name}": str(reason) for m in all_of(evaluator.metrics)}
    check(evaluator.metrics, measured, type(evaluator).__name__)
    return measured, {f"{name}/{metric}": why for metric, why in measured.missing.items()}


def missing_access(evaluator: Evaluator, access: frozenset[Access]) -> str | None:
    """What an evaluator needs and the model does not offer: "needs gradients, members"."""
    absent = [a for a in get_args(Access) if a in evaluator.access - access]
    return f"needs {', '.join(absent)}" if absent else None


def _withheld(
    evaluator: Evaluator, stored: frozenset[Access], offered: frozenset[Access]
) -> str | None:
    """Why an evaluator cannot do with stored answers: what the model, or the audit, lacks."""
    if missing_access(evaluator, stored) is None:
        return None
    return missing_access(evaluator, offered) or NOT_ASKED


def _without_interval(evaluator: Evaluator) -> str | None:
    """Why none of an evaluator's metrics would get an interval, or None."""
    if evaluator.over_rows or any(m.rate for m in evaluator.metrics):
        return None
    return evaluator.no_interval or NO_INTERVAL


def _metric(
    evaluator: str,
    m: Measurement,
    measured: Measured,
    plugin: Evaluator,
    drawn: Mapping[str, Array],
) -> RowMetric:
    declared = find(plugin.metrics, m.name)
    assert declared is not None  # `check` has looked
    null = next((float(o.values[0]) for o in measured.measurements if o.name == m.null), None)
    return RowMetric(
        name=f"{evaluator}/{m.name}",
        declared=declared,
        value=float(m.values[0]),
        n=m.n,
        null=null,
        draws=drawn.get(f"{evaluator}/{m.name}"),
        null_draws=drawn.get(f"{evaluator}/{m.null}"),
    )


def _repeat(
    rows: AuditRows, evaluators: Mapping[str, Evaluator], streams: Streams, draws: int
) -> dict[str, Array]:
    """The values of every metric on draws of the rows, [B] each; those measured on all draws."""
    values: dict[str, list[Array]] = {}
    total = done = 0
    for stack in _stacks(rows, streams, draws) if evaluators else ():
        system = row_system(rows, stack, streams)
        total += 1
        for name, value in _values(system, evaluators, f"{done:,} of {draws:,} draws"):
            values.setdefault(name, []).append(value)
        done += len(stack)
    return {name: np.concatenate(v) for name, v in values.items() if len(v) == total}


def _values(
    system: System, evaluators: Mapping[str, Evaluator], so_far: str
) -> Iterator[tuple[str, Array]]:
    for name, evaluator in evaluators.items():
        if evaluator.supports(system) is None:
            begin("intervals over redrawn rows", f"{so_far}, {name}")
            for m in evaluator.measure(system).measurements:
                yield f"{name}/{m.name}", m.values


def _stacks(rows: AuditRows, streams: Streams, draws: int) -> Iterator[Stack]:
    size = 2 * len(rows.test) + len(rows.calibration) + len(rows.members)
    each = max(1, min(EACH, draws // STACKS, BYTES // (8 * size * len(rows.classes))))
    rng = streams.numpy("bootstrap", "audit")
    return stacks(rows.test, rows.members, rng, max(draws // each, 2), each)
