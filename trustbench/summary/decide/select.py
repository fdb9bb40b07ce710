"""Selects the measured arm that serves a policy best, with the Pareto front and the trade-offs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from trustbench.contracts.aspects import Aspect
from trustbench.store.records import Record
from trustbench.summary.decide.comparison import (
    Harm,
    Option,
    beyond,
    comparable,
    placed,
    points,
    scored,
    wins,
)
from trustbench.summary.decide.decisions import Outcome, worst
from trustbench.summary.decide.policy import TARGETS, Policy
from trustbench.summary.decide.policy_rules import decisions
from trustbench.summary.decide.subject import Subject
from trustbench.summary.stats.effects import Verdict, not_measured
from trustbench.summary.table.estimates import Compared, Estimator
from trustbench.summary.table.grouping import ArmRecords, group_records
from trustbench.summary.table.registry import Measure, Table
from trustbench.summary.table.results import UTILITY, Estimate, TableResult
from trustbench.summary.table.table import summarize

BASELINE = "none"
"""The label of the baseline arm."""
ORDER = (Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.VIOLATED)


@dataclass(frozen=True)
class Selection:
    """The arms of one table ranked by one policy: those that pass it, then the others."""

    policy: Policy
    table: str
    title: str
    dataset: str
    model: str
    variant: str
    compared: tuple[str, ...]
    """The targets of the front: those measured on every scored arm."""
    options: tuple[Option, ...]
    chosen: str | None
    notes: tuple[str, ...] = field(default=())

    @property
    def best(self) -> Option | None:
        """The chosen arm."""
        return next((o for o in self.options if o.label == self.chosen), None)

    @property
    def outcome(self) -> Outcome:
        """The chosen arm's outcome; without one, violated if all arms are, else inconclusive."""
        if self.best is not None:
            return self.best.outcome
        violated = all(o.outcome is Outcome.VIOLATED for o in self.options)
        return Outcome.VIOLATED if violated else Outcome.INCONCLUSIVE


def select(
    records: Sequence[Record],
    table: Table,
    policy: Policy,
    evaluations: Collection[str] | None = None,
) -> list[Selection]:
    """The choice among the arms of each data set and model; `evaluations` as in `summarize`."""
    results = summarize(records, table, evaluations)
    groups = group_records(records, evaluations)
    stored = {r.id: r for r in records}
    return [
        _selection(_subjects(Estimator(group, table), result, policy, stored), result, policy)
        for group, result in zip(groups, results, strict=True)
    ]


def _selection(subjects: Sequence[Subject], result: TableResult, policy: Policy) -> Selection:
    options = scored([_option(s) for s in subjects], policy.weights)
    rated = [o for o in options if o.score is not None]
    compared = tuple(t for t in TARGETS if comparable(rated, t))
    eligible = _eligible(rated)
    best = min(eligible, key=points, default=None)
    won = wins(eligible, policy.weights)
    options = [
        replace(
            placed(o, rated, compared),
            wins=won.get(o.label),
            beyond_best=beyond(o, best, policy.weights) if best else None,
        )
        for o in options
    ]
    found = Selection(
        policy=policy,
        table=result.table,
        title=result.title,
        dataset=result.dataset,
        model=result.model,
        variant=result.variant,
        compared=compared,
        options=tuple(sorted(options, key=_order)),
        chosen=best.label if best else None,
    )
    settings = [n for some in result.settings.values() for n in some]
    floor = subjects[0].estimator.floor.notes() if subjects else ()
    return replace(found, notes=(*_notes(found), *settings, *floor))


def _subjects(
    estimator: Estimator, result: TableResult, policy: Policy, stored: Mapping[str, Record]
) -> list[Subject]:
    """The baseline and every treated arm, each with all its regimes."""
    found: dict[str, dict[str, ArmRecords]] = {}
    for arm in estimator.group.arms:
        if arm.control == "none":
            found.setdefault(arm.key, {})[arm.regime] = arm
    baselines = {
        r: b for r in {a.regime for a in estimator.group.arms} if (b := estimator.group.baseline(r))
    }
    # verdicts are relative to the baseline, so it has none of its own
    unblocked = policy.model_copy(update={"block": ()})
    out = []
    for arms in found.values():
        label = _first(arms).label
        asked = policy if _first(arms).interventions else unblocked
        verdicts = _verdicts(result, label)
        out.append(Subject(estimator, asked, label, arms, baselines, BASELINE, verdicts, stored))
    return out


def _first(arms: Mapping[str, ArmRecords]) -> ArmRecords:
    """The tuned arm, or the first one."""
    return arms.get("tuned") or next(iter(arms.values()))


def _verdicts(result: TableResult, label: str) -> dict[str, Estimate]:
    """Target -> the judged effect of an arm: the one the table prints, else the exploratory one."""
    row = next((a for a in result.arms if a.label == label), None)
    found = dict(row.estimates) if row else {}
    for cell in (*result.cells, *result.utility):
        if cell.estimate.arm == label and cell.estimate.records:
            found[cell.target] = cell.estimate
    return found


def _option(subject: Subject) -> Option:
    arm = _first(subject.arms)
    found = tuple(decisions(subject))
    return Option(
        label=subject.label,
        interventions=tuple(i.name for i in arm.interventions),
        records=tuple(i for a in subject.arms.values() for i in a.ids),
        harms={t: _harm(subject, t) for t in TARGETS},
        decisions=found,
        outcome=worst(d.counts_as for d in found),
        below_floor=subject.estimator.floor.below_in(subject.arms.values()),
    )


def _harm(subject: Subject, target: str) -> Harm:
    """How much worse an arm is on a target than the baseline."""
    measure, reference = _measure(subject, target)
    blank = Harm(
        target=target,
        metric=measure.metric,
        regime=measure.regime,
        against=measure.against,
        reference=reference,
        unacceptable=measure.unacceptable,
        delta=measure.delta,
    )
    arm, base = subject.arms.get(measure.regime), subject.baselines.get(measure.regime)
    if arm is None:
        return replace(blank, missing=not_measured(f"training={measure.regime}").text)
    if base is None:
        what = f"the baseline arm (intervention=none), training={measure.regime}"
        return replace(blank, missing=not_measured(what).text)
    lacking = sorted(set(base.records) - set(arm.records))
    if lacking:
        needs = f"seed {', '.join(map(str, lacking))}, as the baseline has"
        return replace(blank, missing=not_measured(needs).text)
    same = replace(arm, records={s: arm.records[s] for s in base.records})
    found = subject.estimator.contrast(same, Compared(measure.metric, measure.against, reference))
    if isinstance(found, Verdict):
        return replace(blank, missing=f"{found.text}: {found.why}" if found.why else found.text)
    nothing = found.degenerate
    if nothing is not None and not nothing.unchanged:
        return replace(blank, missing=f"{nothing.text}: {nothing.why}")
    return replace(blank, contrast=found)


def _measure(subject: Subject, target: str) -> tuple[Measure, str | None]:
    """The measure and the reference arm if any: the column's metric, which all arms share.

    That metric cannot show what a release reveals, since the released arm has the baseline's own
    models. Rows that register a release therefore use their cells, except on the diagonal, where
    the null is the absence of explanations or sets and not the baseline. The same holds for cells
    that compare with a reference arm.
    """
    of, arm = subject.estimator, _first(subject.arms)
    if target == UTILITY:
        return of.table.utility, None
    aspect = Aspect(target)
    if arm.interventions:
        measure, reference = of.row_measures(arm)[aspect]
        source = arm.interventions[0].aspect
        inside = measure is not None and measure.against is not None
        released = inside and source != target and source in _releases(of.table)
        if measure is not None and (released or reference is not None):
            return measure, reference
    return of.table.columns[aspect].on(of.binary), None


def _releases(table: Table) -> set[str]:
    """The aspects whose methods release something beside unchanged models."""
    return {c.source.value for c in table.cells if c.contrast == "released - not released"}


def _eligible(rated: Sequence[Option]) -> list[Option]:
    """The scored arms that pass the policy; without any, those not shown to violate it."""
    sure = [o for o in rated if o.outcome is Outcome.PASS]
    return sure or [o for o in rated if o.outcome is not Outcome.VIOLATED]


def _order(option: Option) -> tuple[bool, int, float]:
    """Orders scored arms first, by what they satisfy, then by score."""
    if option.score is None:
        return True, ORDER.index(option.outcome), 0.0
    return False, ORDER.index(option.outcome), points(option)


def _surely_better(option: Option) -> bool:
    """Whether an arm that is not shown to violate the policy scores below the chosen one."""
    less = option.beyond_best is not None and option.beyond_best.high < 0
    return less and option.outcome is Outcome.INCONCLUSIVE


def _notes(selection: Selection) -> Iterator[str]:
    """Notes for the reader of the choice."""
    best, options = selection.best, selection.options
    if best is None and any(o.score is not None for o in options):
        yield "Every arm that could be scored violates a demand of the policy."
    elif best is None:
        yield "No arm could be scored. A target that does not matter may have weight 0."
    elif best.outcome is not Outcome.PASS:
        yield (
            f"No scored arm is shown to satisfy the policy; {best.label} is the best of those "
            "that are not shown to violate it."
        )
    tied = [o.label for o in options if o.tied and o.wins is not None]
    if best is not None and tied:
        yield (
            f"The data do not tell {best.label} from {', '.join(tied)}: the interval of the "
            "difference of their scores holds zero."
        )
    better = [o.label for o in options if o.wins is None and _surely_better(o)]
    if best is not None and better:
        yield (
            f"{', '.join(better)} would score surely better than {best.label}, but the data do "
            "not show that the policy's demands are kept."
        )
    left = [t for t in TARGETS if t not in selection.compared]
    if selection.compared and left:
        yield f"The Pareto front leaves out {', '.join(left)}, not measured on every scored arm."
    several = [o.label for o in options if len(o.interventions) > 1]
    if several:
        yield (
            f"Combinations are measured by the columns' metrics alone ({', '.join(several)}): what "
            "explanations or sets released with them give away is not in their score."
        )
