"""One candidate under a policy: its arms, and how it differs from its reference."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from trustbench.contracts.aspects import Aspect
from trustbench.store.records import Record
from trustbench.summary.decide.policy import TARGETS, Block, Policy
from trustbench.summary.stats.effects import Verdict
from trustbench.summary.table.contrast_estimates import filled
from trustbench.summary.table.contrasts import between
from trustbench.summary.table.estimates import Estimator
from trustbench.summary.table.grouping import ArmRecords
from trustbench.summary.table.registry import Table
from trustbench.summary.table.results import UTILITY, Estimate


@dataclass(frozen=True)
class Subject:
    """A candidate: its arm in each regime, its reference, and its cells' verdicts."""

    estimator: Estimator
    policy: Policy
    label: str
    arms: Mapping[str, ArmRecords]
    baselines: Mapping[str, ArmRecords]
    against: str
    """The name of the baselines in reasons and sentences."""
    verdicts: Mapping[str, Estimate]
    """Target -> the judged effect."""
    stored: Mapping[str, Record]
    alone: bool = False
    """Whether the candidate is compared with nothing but the records that limits name."""

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
        """Whether a rule covers the candidate's effect on a target."""
        return any(rule.covers(source, target) for source in self.sources or (None,))

    def floored(self, metric: str, *arms: ArmRecords) -> Verdict | None:
        """The verdict on the first arm that learnt nothing, unless this metric reports it."""
        if evaluator_of(metric) == evaluator_of(self.estimator.table.floor.metric):
            return None
        return next((v for a in arms if (v := self.estimator.floor.learnt_nothing(a))), None)

    def undertrained(self, other: ArmRecords | None) -> Verdict | None:
        """The verdict on differences from an arm without methods that is below the floor."""
        return (
            self.estimator.floor.undertrained(other) if other and not other.interventions else None
        )

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
        found = between(arm, other, metric, self.estimator.group.evaluations, name)
        floored = self.undertrained(other) or self.floored(metric, arm, *([other] if other else []))
        if floored is not None and not isinstance(found, Verdict):
            found = floored
        if isinstance(found, Verdict):
            return replace(blank, verdict=found)
        nothing = found.degenerate
        if nothing is not None and not nothing.unchanged:
            return replace(blank, verdict=nothing)
        below = self.estimator.floor.mark(arm, other)
        return replace(filled(blank, replace(found, degenerate=None), below), verdict=nothing)


def evaluators_read(policy: Policy, table: Table, sources: Collection[str | None]) -> set[str]:
    """The evaluators that a policy's rules may use for methods of these aspects."""
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


def evaluator_of(metric: str) -> str:
    """The evaluator of a metric.

    >>> evaluator_of("fairness/acc_gap")
    'fairness'
    """
    return metric.split("/", 1)[0]
