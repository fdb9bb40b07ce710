"""Does a method remove the harm done by another, and what does it cost elsewhere?

The table registers which method is meant to reconcile which pair. Both arms are compared with the
reference of the cell; the change is paired by replicate.
"""

from collections.abc import Iterator
from dataclasses import replace

from trustbench.contracts.aspects import Aspect
from trustbench.summary.stats.effects import Verdict
from trustbench.summary.stats.nulls import less_chance
from trustbench.summary.stats.verdicts import BY_CHANCE
from trustbench.summary.table.contrast_estimates import filled, judged
from trustbench.summary.table.contrasts import Contrast
from trustbench.summary.table.estimates import Compared, Estimator
from trustbench.summary.table.grouping import ArmRecords
from trustbench.summary.table.registry import Cell, Measure, Mitigation
from trustbench.summary.table.results import UTILITY, Estimate, MitigationResult


def mitigations(estimator: Estimator) -> tuple[MitigationResult, ...]:
    """Every registered mitigation for which both arms were requested; usually none."""
    return tuple(r for m in estimator.table.mitigations if (r := _result(estimator, m)) is not None)


def _result(estimator: Estimator, registered: Mitigation) -> MitigationResult | None:
    cell = estimator.table.cell(registered.source, registered.target)
    measure = cell.measure(estimator.binary)
    if measure is None:
        return None
    arms = [
        estimator.combined(names, measure.regime) for names in (registered.harmful, registered.by)
    ]
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
    effects = [_effect(estimator, a, cell, measure) for a in arms if isinstance(a, ArmRecords)]
    for found in effects:
        if isinstance(found, Verdict):
            return replace(blank, reason=found.reason or "no number")
    before, after = (e for e in effects if isinstance(e, Contrast))
    if len(before.series) != len(after.series):
        return replace(blank, reason="the two arms have different numbers of replicates")
    return _compared(estimator, blank, arms[0], arms[1], measure, before, after)


def _effect(
    estimator: Estimator, arm: ArmRecords, cell: Cell, measure: Measure
) -> Contrast | Verdict:
    """An arm on the cell's measure, compared with the reference of the cell."""
    found = estimator.contrast(arm, Compared(measure.metric, measure.against, cell.reference))
    return found if isinstance(found, Verdict) else found.degenerate or found


def _compared(
    estimator: Estimator,
    blank: MitigationResult,
    harmful: ArmRecords,
    mitigating: ArmRecords,
    measure: Measure,
    before: Contrast,
    after: Contrast,
) -> MitigationResult:
    change = _change(before, after)
    costs = dict(_costs(estimator, harmful, mitigating, blank.target, measure.regime))
    return replace(
        blank,
        harmful=harmful.label,
        mitigating=mitigating.label,
        before=before.effect,
        after=after.effect,
        change=change.effect,
        answer=_answer(before, after, change, measure.delta),
        costs={t: e for t, e in costs.items() if e.effect is not None},
        unpriced={t: e.verdict.sentence for t, e in costs.items() if e.verdict and not e.effect},
    )


def _change(before: Contrast, after: Contrast) -> Contrast:
    """After minus before, replicate by replicate; a common reference cancels."""
    series, less = after.series - before.series, None
    if after.reference.found == before.reference.found:
        series = after.treated.harm - before.treated.harm
        less = less_chance(after.treated, before.treated)
    elif after.less_chance is not None and before.less_chance is not None:
        less = after.less_chance - before.less_chance
    records = (*after.records, *before.records)
    return replace(after, series=series, records=records, less_chance=less)


def _answer(before: Contrast, after: Contrast, change: Contrast, delta: float) -> str:
    """The answer in words, from the intervals alone.

    For a metric over groups, a difference counts if random groups do not show as much.
    """
    if before.direction <= 0:
        more = f": {BY_CHANCE}" if before.effect.low > 0 else ""
        return f"no harm to remove{more}"
    if change.direction >= 0:
        return "made worse" if change.direction else "not removed"
    if after.effect.high < delta:
        return "removed"
    return "reduced, not removed" if after.direction > 0 else "reduced; what is left is unclear"


def _columns(estimator: Estimator, regime: str) -> Iterator[tuple[str, Measure]]:
    for target in Aspect:
        measure = estimator.table.columns[target].on(estimator.binary)
        if measure.regime == regime:
            yield target.value, measure
    yield UTILITY, estimator.table.utility


def _costs(
    estimator: Estimator, harmful: ArmRecords, mitigating: ArmRecords, target: Aspect, regime: str
) -> Iterator[tuple[str, Estimate]]:
    """The mitigating arm's effect on every other column beyond the harmful arm, judged alone."""
    for other, measure in _columns(estimator, regime):
        if other == target.value:
            continue
        blank = Estimate(mitigating.label, mitigating.dose, regime, measure.metric)
        found = filled(blank, estimator.against(mitigating, harmful, measure.metric))
        yield other, judged(found, measure.delta)
