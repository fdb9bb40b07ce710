"""One candidate before a policy: what each of its rules reads, and what it comes to."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from trustbench.aspects import Aspect
from trustbench.errors import UserError
from trustbench.records import Record
from trustbench.summary.comparable import shared_evaluations
from trustbench.summary.contrasts import between, measurement, within
from trustbench.summary.decisions import (
    ANSWERS,
    Decision,
    Outcome,
    decide,
    decide_verdict,
    needed,
)
from trustbench.summary.effects import Verdict, not_measured
from trustbench.summary.estimates import Estimator
from trustbench.summary.grouping import ArmRecords
from trustbench.summary.misleading import of_record, trusted, warned
from trustbench.summary.policy import TARGETS, Block, Bound, Limit, Policy
from trustbench.summary.registry import Measure, Table
from trustbench.summary.results import UTILITY, Estimate
from trustbench.summary.series import mean_of


@dataclass(frozen=True)
class Subject:
    """A candidate: its arm in each regime, what it is compared with, and its cells' verdicts."""

    of: Estimator
    policy: Policy
    label: str
    arms: Mapping[str, ArmRecords]
    baselines: Mapping[str, ArmRecords]
    against: str
    """What the baselines are called in reasons and sentences."""
    verdicts: Mapping[str, Estimate]
    """Target -> the judged effect."""
    stored: Mapping[str, Record]

    @property
    def sources(self) -> tuple[Aspect, ...]:
        """The aspects of the candidate's methods."""
        known = {a.value: a for a in Aspect}
        methods = next(iter(self.arms.values())).interventions
        return tuple(known[i.aspect] for i in methods if i.aspect in known)

    def cell(self, target: str | None) -> str | None:
        """The name of the candidate's cell for a target: `P→F`; `P+R→F` for a combination."""
        if target is None:
            return None
        letter = target if target == UTILITY else Aspect(target).letter
        return f"{'+'.join(a.letter for a in self.sources)}→{letter}"

    def covered(self, rule: Block, target: str) -> bool:
        """Whether a rule speaks of what the candidate does to a target."""
        return any(rule.covers(source, target) for source in self.sources or (None,))

    def floored(self, metric: str, *arms: ArmRecords) -> Verdict | None:
        """The verdict on the first of the arms that learnt nothing, unless this metric says so."""
        if evaluator_of(metric) == evaluator_of(self.of.table.floor.metric):
            return None
        return next((v for a in arms if (v := self.of.floor.learnt_nothing(a))), None)

    def undertrained(self, other: ArmRecords | None) -> Verdict | None:
        """The verdict on differences from an arm without methods that is below the floor."""
        return self.of.floor.undertrained(other) if other and not other.interventions else None

    def difference(
        self,
        arm: ArmRecords,
        other: ArmRecords | Verdict | None,
        metric: str,
        against: str | None = None,
    ) -> Estimate:
        """The candidate's arm minus another, by replicate, in units of harm; not judged."""
        blank = Estimate(self.label, arm.dose, arm.regime, metric)
        if isinstance(other, Verdict):
            return replace(blank, verdict=other)
        name = against or self.against
        found = between(arm, other, metric, self.of.group.evaluations, name)
        floored = self.undertrained(other) or self.floored(metric, arm, *([other] if other else []))
        if floored is not None and not isinstance(found, Verdict):
            found = floored
        if isinstance(found, Verdict):
            return replace(blank, verdict=found)
        nothing = found.degenerate
        if nothing is not None and not nothing.unchanged:
            return replace(blank, verdict=nothing)
        return replace(
            blank,
            verdict=nothing,
            unit=found.unit,
            effect=found.effect,
            treated_mean=found.treated_mean,
            reference_mean=found.reference_mean,
            records=found.records,
            differences=tuple(found.differences.tolist()),
            below_floor=self.of.floor.mark(arm, other),
        )


def evaluators_read(policy: Policy, table: Table, sources: Collection[str | None]) -> set[str]:
    """The evaluators that a policy's rules may read for methods of these aspects."""
    named = {limit.metric for limit in policy.limits}
    metrics: set[str] = named - set(TARGETS)
    for target in TARGETS:
        blocks = any(rule.covers(s, target) for rule in policy.block for s in sources or (None,))
        cells = [c for c in table.cells if c.target == target and blocks and c.source in sources]
        columns = [c.column for c in cells if c.column]
        if target != UTILITY and (blocks or target in named):
            columns.append(table.columns[Aspect(target)])
        metrics |= {column.on(b).metric for column in columns for b in (False, True)}
    return {evaluator_of(m) for m in (*metrics, table.utility.metric, table.floor.metric)}


def decisions(subject: Subject) -> Iterator[Decision]:
    """Every bound of every limit, and every cell that may block, in the order of the policy."""
    for limit in subject.policy.limits:
        metric, regime, target = _read(limit, subject)
        for bound in limit.bounds:
            yield _limit(subject, limit, bound, (metric, regime, target))
    for rule in subject.policy.block:
        for target in TARGETS:
            if subject.covered(rule, target):
                yield _block(subject, rule, target)


def _read(limit: Limit, subject: Subject) -> tuple[str, str, str | None]:
    """(metric, regime, target) that a limit reads on this task.

    A metric that the table reads brings the regime and the target of its first column or cell.
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
    table, binary = subject.of.table, subject.of.binary
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
        estimate = _own_mean(subject, arm, metric)
    else:
        estimate = subject.difference(arm, _reference(subject, limit, arm, metric), metric, against)
    outcome, needs = Outcome.UNMEASURED, None
    if estimate.effect is not None:
        outcome = decide(estimate.effect, bound)
    if estimate.effect is not None and outcome is Outcome.INCONCLUSIVE:
        needs = needed(estimate.effect, bound.value)
    warning = _warned(subject, estimate)
    outcome = trusted(outcome, warning)
    return Decision(
        rule=limit,
        estimate=estimate,
        outcome=outcome,
        counts_as=_counts_as(subject.policy, outcome),
        cell=subject.cell(target),
        bound=bound,
        against=against,
        needs=needs,
        unreliable=warning,
    )


def _own_mean(subject: Subject, arm: ArmRecords, metric: str) -> Estimate:
    """The mean of a metric over an arm's replicates, in its own unit, with its t interval."""
    blank = Estimate(subject.label, arm.dose, arm.regime, metric)
    evaluations = subject.of.group.evaluations
    found = subject.floored(metric, arm) or within(arm, metric, 0.0, evaluations)
    first = measurement(arm.records[min(arm.records)], metric, evaluations, arm.label)
    if isinstance(found, Verdict):
        return replace(blank, verdict=found)
    assert not isinstance(first, Verdict)  # `within` has just read it
    every = [measurement(r, metric, evaluations, arm.label) for _, r in sorted(arm.records.items())]
    return replace(
        blank,
        unit=first.unit,
        effect=mean_of([m for m in every if not isinstance(m, Verdict)], found.overlap),
        treated_mean=found.treated_mean,
        records=arm.ids,
    )


def _against(subject: Subject, limit: Limit) -> str:
    """What a relative limit compares with, in words."""
    if limit.record is not None:
        return f"record {limit.record}"
    return subject.against if limit.reference is None else limit.reference


def _reference(
    subject: Subject, limit: Limit, arm: ArmRecords, metric: str
) -> ArmRecords | Verdict | None:
    """What stands in for the baseline of a relative limit; None where it was not measured."""
    if limit.record is not None:
        return _stored(subject, limit.record, arm, metric)
    if limit.reference is not None:
        return subject.of.reference(arm, limit.reference)
    return subject.baselines.get(arm.regime)


def _stored(subject: Subject, name: str, arm: ArmRecords, metric: str) -> ArmRecords:
    """A stored record as an arm; UserError when it is absent or not comparable."""
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
    verdict = estimate.verdict
    assert verdict is not None  # the table judges every effect that it registers
    same = [m.delta for t, m in _places(subject) if (t, m.metric) == (target, estimate.metric)]
    warning = _warned(subject, estimate)
    decided = decide_verdict(verdict, estimate.effect, rule, min(same, default=0.0))
    outcome, against = trusted(decided, warning), estimate.against
    return Decision(
        rule=rule,
        estimate=estimate,
        outcome=outcome,
        counts_as=_counts_as(subject.policy, outcome),
        cell=subject.cell(target),
        against=str(against) if against is not None else estimate.reference or subject.against,
        needs=verdict.detail.removeprefix("needs ")
        if outcome is Outcome.INCONCLUSIVE and verdict.detail
        else None,
        unreliable=warning,
    )


def _absent(subject: Subject, target: str) -> Estimate:
    """What a cell would have needed."""
    of, arm = subject.of, next(iter(subject.arms.values()))
    measures = {t.value: m for t, (m, _) in of.row_measures(arm).items()}
    measure = of.table.utility if target == UTILITY else measures[target]
    if measure is None:
        verdict = not_measured("a metric registered for this cell")
        return Estimate(subject.label, arm.dose, None, None, verdict=verdict)
    verdict = not_measured(f"{subject.label} with training={measure.regime}")
    return Estimate(subject.label, arm.dose, measure.regime, measure.metric, verdict=verdict)


def _warned(subject: Subject, estimate: Estimate) -> str | None:
    """What warns that the metric misleads on the records that an effect was read from."""
    return warned(subject.of, (m for _, m in _places(subject)), estimate, subject.stored)


def _counts_as(policy: Policy, outcome: Outcome) -> Outcome:
    """What the policy makes of an outcome."""
    answers = {
        Outcome.INCONCLUSIVE: policy.inconclusive,
        Outcome.UNMEASURED: policy.unmeasured,
        Outcome.UNRELIABLE: policy.unreliable,
    }
    return ANSWERS[answers[outcome]] if outcome in answers else outcome


def evaluator_of(metric: str) -> str:
    """The evaluator of a metric.

    >>> evaluator_of("fairness/acc_gap")
    'fairness'
    """
    return metric.split("/", 1)[0]
