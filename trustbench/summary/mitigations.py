"""Does a method remove the harm that another does, and what does it cost elsewhere?

The table registers which method is meant to reconcile which pair. Both arms are compared with
what the cell compares with; the change is paired by replicate.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from trustbench.aspects import Aspect
from trustbench.summary.effects import Effect, Verdict, paired_effect
from trustbench.summary.estimates import Estimator
from trustbench.summary.grouping import ArmRecords
from trustbench.summary.registry import Cell, Measure, Mitigation
from trustbench.summary.results import UTILITY, Estimate, MitigationResult


def mitigations(of: Estimator) -> tuple[MitigationResult, ...]:
    """Every registered mitigation of which both arms were asked for; usually none."""
    return tuple(r for m in of.table.mitigations if (r := _result(of, m)) is not None)


def _result(of: Estimator, registered: Mitigation) -> MitigationResult | None:
    cell = of.table.cell(registered.source, registered.target)
    measure = cell.measure(of.binary)
    if measure is None:
        return None
    arms = [of.combined(names, measure.regime) for names in (registered.harmful, registered.by)]
    if all(isinstance(a, Verdict) for a in arms) or isinstance(arms[1], Verdict):
        return None  # not part of this sweep
    blank = MitigationResult(
        source=cell.source,
        target=cell.target,
        harmful=" + ".join(registered.harmful),
        mitigating=" + ".join(registered.by),
        metric=measure.metric,
        references=registered.references,
    )
    if isinstance(arms[0], Verdict):
        return replace(blank, reason=arms[0].text)
    before, after = (_estimate(of, a, cell, measure) for a in arms if isinstance(a, ArmRecords))
    for estimate in (before, after):
        if estimate.effect is None:
            return replace(blank, reason=estimate.reason or "no number")
    return _compared(of, blank, arms[0], arms[1], measure, before, after)


def _estimate(of: Estimator, arm: ArmRecords, cell: Cell, measure: Measure) -> Estimate:
    """The effect of an arm on the cell's measure, compared with what the cell compares with."""
    return of.raw(arm, measure, cell.reference)


def _compared(
    of: Estimator,
    blank: MitigationResult,
    harmful: ArmRecords,
    mitigating: ArmRecords,
    measure: Measure,
    before: Estimate,
    after: Estimate,
) -> MitigationResult:
    assert before.effect is not None and after.effect is not None
    change = _paired(before, after)
    found = dict(_costs(of, harmful, mitigating, blank.target, measure.regime))
    costs = {t: cost for t, cost in found.items() if isinstance(cost, Effect)}
    return replace(
        blank,
        harmful=harmful.label,
        mitigating=mitigating.label,
        before=before.effect,
        after=after.effect,
        change=change,
        answer=_answer(before.effect, after.effect, change, measure.delta),
        costs=costs,
        deltas={t: m.delta for t, m in _columns(of, measure.regime) if t in costs},
        unpriced={t: cost.sentence for t, cost in found.items() if isinstance(cost, Verdict)},
    )


def _paired(before: Estimate, after: Estimate) -> Effect:
    a, b = np.array(after.differences), np.array(before.differences)
    assert before.effect is not None
    pools = np.repeat(np.arange(before.effect.pools), len(a) // before.effect.pools)
    return paired_effect(a - b, pools)


def _answer(before: Effect, after: Effect, change: Effect, delta: float) -> str:
    """The question's answer in words, by intervals alone."""
    if before.low <= 0:
        return "no harm to remove"
    if change.high >= 0:
        return "not removed" if change.low <= 0 else "made worse"
    if after.high < delta:
        return "removed"
    return "reduced, not removed" if after.low > 0 else "reduced; what is left is unclear"


def _columns(of: Estimator, regime: str) -> Iterator[tuple[str, Measure]]:
    for target in Aspect:
        measure = of.table.columns[target].on(of.binary)
        if measure.regime == regime:
            yield target.value, measure
    yield UTILITY, of.table.utility


def _costs(
    of: Estimator, harmful: ArmRecords, mitigating: ArmRecords, target: Aspect, regime: str
) -> Iterator[tuple[str, Effect | Verdict]]:
    """What the mitigating arm does to every other column beyond the harmful arm, or why not."""
    for other, measure in _columns(of, regime):
        if other == target.value:
            continue
        found = of.against(mitigating, harmful, measure.metric)
        if isinstance(found, Verdict):
            yield other, found
        else:
            yield other, found.degenerate or found.effect
