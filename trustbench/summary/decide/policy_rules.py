"""Evaluates each rule of a policy for a candidate, and decides."""

from collections.abc import Iterator
from dataclasses import replace

from trustbench.contracts.aspects import Aspect
from trustbench.errors import UserError
from trustbench.summary.decide.decisions import (
    ANSWERS,
    Decision,
    Outcome,
    decide,
    decide_verdict,
    needed,
    within_chance,
)
from trustbench.summary.decide.policy import TARGETS, Block, Bound, Limit, Policy
from trustbench.summary.decide.subject import Subject, evaluator_of
from trustbench.summary.decide.unreliable import of_record, trusted, warned
from trustbench.summary.stats.effects import Verdict, not_measured
from trustbench.summary.stats.nulls import excess_of
from trustbench.summary.stats.series import mean_of
from trustbench.summary.table.contrasts import overlap_of, side
from trustbench.summary.table.grouping import ArmRecords
from trustbench.summary.table.pairing import shared_evaluations
from trustbench.summary.table.registry import Measure
from trustbench.summary.table.results import UTILITY, Estimate


def decisions(subject: Subject) -> Iterator[Decision]:
    """Decides every bound of every limit, and every cell that may block, in policy order."""
    for limit in subject.policy.limits:
        metric, regime, target = _read(limit, subject)
        for bound in limit.bounds:
            change = bound.kind == "worse_by_at_most" and limit.record is None
            if not (subject.alone and change):
                yield _limit(subject, limit, bound, (metric, regime, target))
    for rule in () if subject.alone else subject.policy.block:
        for target in TARGETS:
            if subject.covered(rule, target):
                yield _block(subject, rule, target)


def _read(limit: Limit, subject: Subject) -> tuple[str, str, str | None]:
    """(metric, regime, target) that a limit uses on this task.

    The first column or cell that uses a metric determines its regime and target.
    """
    places = _places(subject)
    for target, measure in places:
        if limit.metric == target:
            return measure.metric, limit.regime or measure.regime, target
    for target, measure in places:
        if measure.metric == limit.metric:
            return limit.metric, limit.regime or measure.regime, target
    for target, measure in places:
        for beside in measure.secondary:
            if beside.metric == limit.metric:
                regime = limit.regime or beside.regime or measure.regime
                return limit.metric, regime, target
    return limit.metric, limit.regime or "tuned", None


def _places(subject: Subject) -> list[tuple[str, Measure]]:
    """(target, measure) of every column, utility, and every cell, in this order."""
    table, binary = subject.estimator.table, subject.estimator.binary
    columns = [(a.value, table.columns[a].on(binary)) for a in Aspect]
    cells = [(c.target.value, m) for c in table.cells if (m := c.measure(binary))]
    return [*columns, (UTILITY, table.utility), *cells]


def _limit(
    subject: Subject, limit: Limit, bound: Bound, where: tuple[str, str, str | None]
) -> Decision:
    metric, regime, target = where
    arm, absolute = subject.arms.get(regime), bound.kind != "worse_by_at_most"
    against = None if absolute else _against(subject, limit)
    if arm is None:
        absent = not_measured(f"{subject.label} with training={regime}")
        estimate = Estimate(subject.label, {}, regime, metric, verdict=absent)
    elif absolute:
        estimate = _own_mean(subject, arm, metric, limit)
    else:
        estimate = subject.difference(arm, _reference(subject, limit, arm, metric), metric, against)
        estimate = _less_chance(subject, estimate) if limit.beyond_chance else estimate
    outcome, needs = Outcome.UNMEASURED, None
    if estimate.effect is not None:
        outcome = decide(estimate.effect, bound)
        if outcome is Outcome.INCONCLUSIVE:
            needs = needed(estimate.effect, bound.value)
        elif (verdict := within_chance(outcome, estimate, bound)) is not None:
            outcome, needs = Outcome.INCONCLUSIVE, verdict.needs
            estimate = replace(estimate, verdict=verdict)
    return _decision(
        subject, limit, estimate, outcome, target=target, against=against, needs=needs, bound=bound
    )


def _own_mean(subject: Subject, arm: ArmRecords, metric: str, limit: Limit) -> Estimate:
    """The mean of a metric over an arm's replicates, in its own unit, with its t interval."""
    below = subject.estimator.floor.mark(arm)
    blank = Estimate(subject.label, arm.dose, arm.regime, metric, below_floor=below)
    found = subject.floored(metric, arm) or side(
        arm, sorted(arm.records), metric, subject.estimator.group.evaluations, arm.label
    )
    if isinstance(found, Verdict):
        return replace(blank, verdict=found)
    if sum(len(m.values) for m in found.found) < 2:
        return replace(blank, verdict=not_measured("at least 2 replicates"))
    overlap = overlap_of(arm)
    if limit.beyond_chance and found.null is None:
        raise _no_groups(subject, metric)
    return replace(
        blank,
        unit=found.found[0].unit,
        effect=excess_of(found, overlap) if limit.beyond_chance else mean_of(found.found, overlap),
        treated_mean=found.mean,
        treated_chance=found.chance,
        records=arm.ids,
    )


def _less_chance(subject: Subject, estimate: Estimate) -> Estimate:
    """The difference of (metric - null) in place of that of the metric."""
    if estimate.effect is None:
        return estimate
    if estimate.beyond_chance is None:
        raise _no_groups(subject, str(estimate.metric))
    return estimate.against_chance()


def _no_groups(subject: Subject, metric: str) -> UserError:
    return UserError(
        f"policy {subject.policy.name} sets `beyond_chance` for {metric}, which is stored without "
        "what random groups show; remove the key, or, for a metric over groups, measure again with "
        "this version of trustbench."
    )


def _against(subject: Subject, limit: Limit) -> str:
    """What a relative limit compares with, in words."""
    if limit.record is not None:
        return f"record {limit.record}"
    return subject.against if limit.reference is None else limit.reference


def _reference(
    subject: Subject, limit: Limit, arm: ArmRecords, metric: str
) -> ArmRecords | Verdict | None:
    """The reference of a relative limit in place of the baseline; None if it was not measured."""
    if limit.record is not None:
        return _stored(subject, limit.record, arm, metric)
    if limit.reference is not None:
        return subject.estimator.reference(arm, limit.reference)
    return subject.baselines.get(arm.regime)


def _stored(subject: Subject, name: str, arm: ArmRecords, metric: str) -> ArmRecords:
    """A stored record as an arm; raises UserError if it is absent or not comparable."""
    if name not in subject.stored:
        raise UserError(
            f"policy {subject.policy.name} compares with record {name}, which is not among the "
            "records read; give the store that holds it with --from."
        )
    record = subject.stored[name]
    own = arm.records.get(record.arm.seed, next(iter(arm.records.values())))
    shared_evaluations([record], [own], {evaluator_of(metric)})
    return of_record(record)


def _block(subject: Subject, rule: Block, target: str) -> Decision:
    estimate = subject.verdicts.get(target) or _absent(subject, target)
    verdict, against = estimate.verdict, estimate.against
    assert verdict is not None  # the table judges every effect that it registers
    same = [m.delta for t, m in _places(subject) if (t, m.metric) == (target, estimate.metric)]
    outcome = decide_verdict(verdict, estimate.effect, rule, min(same, default=0.0))
    needs = verdict.needs if outcome is Outcome.INCONCLUSIVE else None
    compared = str(against) if against is not None else estimate.reference or subject.against
    return _decision(subject, rule, estimate, outcome, target=target, against=compared, needs=needs)


def _decision(
    subject: Subject,
    rule: Limit | Block,
    estimate: Estimate,
    outcome: Outcome,
    *,
    target: str | None,
    against: str | None,
    needs: str | None,
    bound: Bound | None = None,
) -> Decision:
    """The decision on an outcome, which is unreliable if the metric may mislead."""
    warning = _warned(subject, estimate)
    outcome = trusted(outcome, warning)
    return Decision(
        rule=rule,
        estimate=estimate,
        outcome=outcome,
        counts_as=_counts_as(subject.policy, outcome),
        cell=subject.cell(target),
        bound=bound,
        against=against,
        needs=needs,
        unreliable=warning,
    )


def _absent(subject: Subject, target: str) -> Estimate:
    """What a missing cell would have needed."""
    of, arm = subject.estimator, next(iter(subject.arms.values()))
    measures = {t.value: m for t, (m, _) in of.row_measures(arm).items()}
    measure = of.table.utility if target == UTILITY else measures[target]
    if measure is None:
        verdict = not_measured("a metric registered for this cell")
        return Estimate(subject.label, arm.dose, None, None, verdict=verdict)
    verdict = not_measured(f"{subject.label} with training={measure.regime}")
    return Estimate(subject.label, arm.dose, measure.regime, measure.metric, verdict=verdict)


def _warned(subject: Subject, estimate: Estimate) -> str | None:
    """The warning that the metric misleads on the records behind an effect."""
    return warned(subject.estimator, (m for _, m in _places(subject)), estimate, subject.stored)


def _counts_as(policy: Policy, outcome: Outcome) -> Outcome:
    """How the policy treats an outcome."""
    answers = {
        Outcome.INCONCLUSIVE: policy.inconclusive,
        Outcome.UNMEASURED: policy.unmeasured,
        Outcome.UNRELIABLE: policy.unreliable,
    }
    return ANSWERS[answers[outcome]] if outcome in answers else outcome
