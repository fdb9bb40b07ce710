"""Decides by a policy whether a change, or an arm, may go ahead.

There are two entry points. `gate_sweep` compares every treated arm of a sweep with the sweep's
baseline; its verdicts are those that the table prints. `gate_pair` compares a candidate with a
given baseline, two models trained on the same replicates; its verdicts are by Holm over the cells
that it compares.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from trustbench.contracts.aspects import Aspect
from trustbench.errors import UserError, did_you_mean
from trustbench.store.labels import describe, tell_apart
from trustbench.store.records import Record, Scalar
from trustbench.summary.decide.decisions import Decision, Outcome, worst
from trustbench.summary.decide.policy import Policy
from trustbench.summary.decide.policy_rules import decisions
from trustbench.summary.decide.subject import Subject, evaluators_read
from trustbench.summary.stats.effects import not_measured
from trustbench.summary.stats.multiplicity import holm
from trustbench.summary.table.arm_names import Names, completed
from trustbench.summary.table.contrast_estimates import judged
from trustbench.summary.table.estimates import Estimator
from trustbench.summary.table.evaluations import choose
from trustbench.summary.table.grouping import ArmRecords, Group, group_records, interventions_key
from trustbench.summary.table.pairing import shared_evaluations
from trustbench.summary.table.registry import Measure, Table
from trustbench.summary.table.results import UTILITY, Estimate, TableResult
from trustbench.summary.table.table import summarize

ALONE = (
    "There is no treated arm: limits on change and verdicts that block are not decided. Run a "
    "sweep with interventions, or give two records with --baseline and --candidate."
)


@dataclass(frozen=True)
class Candidate:
    """One arm, over its regimes, and the policy's decisions on it."""

    dataset: str
    model: str
    variant: str
    arm: str
    against: str
    dose: Mapping[str, Scalar]
    replicates: int
    records: tuple[str, ...]
    decisions: tuple[Decision, ...]
    unit: str = "replicates"
    """What `replicates` counts, over which every interval is: test rows for a given model."""

    @property
    def outcome(self) -> Outcome:
        """Pass, violated or inconclusive."""
        return worst(d.counts_as for d in self.decisions)

    @property
    def title(self) -> str:
        """The arm and where it was measured, for headings."""
        where = f"{self.dataset} / {self.model}" + (f" ({self.variant})" if self.variant else "")
        return f"{self.arm} on {where}"


@dataclass(frozen=True)
class Gate:
    """The policy's decisions on every candidate."""

    policy: Policy
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """Violated if any candidate is, else inconclusive if any is, else pass."""
        return worst(c.outcome for c in self.candidates)


def gate_sweep(
    records: Sequence[Record],
    table: Table,
    policy: Policy,
    evaluations: Collection[str] | None = None,
    stored: Mapping[str, Record] | None = None,
) -> Gate:
    """Gates every treated arm of every table among the records against its baseline.

    Without any treated arm, the baselines themselves are held to the limits that need no
    comparison. `evaluations` are the evaluation ids that may be read (None: all); `stored` are the
    records that limits may name. Raises UserError if records cannot be compared, or if there is no
    treated arm and the policy limits only changes.
    """
    groups = group_records(records, evaluations)
    results = summarize(records, table, evaluations)
    found = [
        candidate
        for group, result in zip(groups, results, strict=True)
        for candidate in _of_group(Estimator(group, table), result, policy, stored or {})
    ]
    notes = [n for r in results for n in r.notes]
    if not found:
        if policy.only_change:
            raise UserError(
                f"there is no treated arm, and policy {policy.name} limits only changes; run a "
                "sweep with interventions, give two records with --baseline and --candidate, or "
                "limit the model itself with at_most or at_least."
            )
        pairs = zip(groups, results, strict=True)
        found = [_alone(Estimator(g, table), r, policy, stored or {}) for g, r in pairs]
        notes.append(ALONE)
    return Gate(policy, tuple(found), tuple(dict.fromkeys(notes)))


def _alone(
    estimator: Estimator, result: TableResult, policy: Policy, stored: Mapping[str, Record]
) -> Candidate:
    """The baseline of a table, which is compared with nothing."""
    regimes = {a.regime for a in estimator.group.arms}
    arms = {r: b for r in regimes if (b := estimator.group.baseline(r))}
    label = next(iter(arms.values())).label
    subject = Subject(estimator, policy, label, arms, {}, "nothing", {}, stored, alone=True)
    return _candidate(subject, result.variant)


def only(gate: Gate, arms: Sequence[str], names: Names | None = None) -> Gate:
    """The gate of some arms, by their labels, by other `names` of their records, or how one begins.

    Raises UserError, with every label and name, for one that no candidate has.
    """
    called: dict[str, frozenset[int]] = {}
    for k, candidate in enumerate(gate.candidates):
        own = {n for n, ids in (names or {}).items() if not ids.isdisjoint(candidate.records)}
        for name in {candidate.arm, *own}:
            called[name] = called.get(name, frozenset()) | {k}
    kept: set[int] = set()
    for arm in arms:
        name = completed(arm, called)
        if name not in called:
            raise UserError(f"no candidate is called {arm!r}; {did_you_mean(arm, called)}")
        kept |= called[name]
    return replace(gate, candidates=tuple(gate.candidates[k] for k in sorted(kept)))


def _of_group(
    estimator: Estimator, result: TableResult, policy: Policy, stored: Mapping[str, Record]
) -> Iterator[Candidate]:
    """The treated arms of one table, in its order."""
    keys: dict[str, dict[str, ArmRecords]] = {}
    for arm in estimator.group.treated():
        keys.setdefault(arm.key, {})[arm.regime] = arm
    by_label = {arms.get("tuned", next(iter(arms.values()))).label: arms for arms in keys.values()}
    regimes = {a.regime for a in estimator.group.arms}
    baselines = {r: b for r in regimes if (b := estimator.group.baseline(r))}
    for row in result.arms:
        arms = by_label[row.label]
        verdicts = dict(row.estimates)
        for cell in (*result.cells, *result.utility):
            if cell.estimate.arm == row.label and cell.estimate.records:
                verdicts[cell.target] = cell.estimate
        subject = Subject(estimator, policy, row.label, arms, baselines, "none", verdicts, stored)
        yield _candidate(subject, result.variant)


def gate_pair(
    baseline: Sequence[Record],
    candidate: Sequence[Record],
    table: Table,
    policy: Policy,
    stored: Mapping[str, Record] | None = None,
) -> Gate:
    """Gates a candidate against a baseline; each is one record, or one per regime and seed.

    Raises UserError, `not comparable: ...`, unless both were trained on the same replicates and
    measured by the same evaluators.
    """
    read = evaluators_read(
        policy, table, {i.aspect for r in candidate for i in r.arm.interventions}
    )
    evaluations = shared_evaluations(baseline, candidate, read)
    sides = [_arms(records) for records in (baseline, candidate)]
    labels = _labels(*sides)
    for side, text in zip(sides, labels, strict=True):
        side.update({regime: replace(arm, label=text) for regime, arm in side.items()})
    first = candidate[0].arm
    group = Group(
        dataset=first.dataset,
        model=first.model,
        protocol=first.protocol,
        training={str(r.arm.training["regime"]): r.arm.training for r in candidate},
        arms=tuple(a for side in sides for a in side.values()),
        evaluations=evaluations,
    )
    of = Estimator(group, table)
    against = labels[0] if labels[0] != labels[1] else f"{labels[0]} (baseline)"
    subject = Subject(of, policy, labels[1], sides[1], sides[0], against, {}, stored or {})
    subject = replace(subject, verdicts=_pair_verdicts(subject))
    same = sorted({r.id for r in candidate} & {r.id for r in baseline})
    notes = [f"record {i} is candidate and baseline: nothing changed." for i in same]
    chosen = choose([*baseline, *candidate], evaluations.values())
    notes += [n for name, some in chosen.notes.items() if name in read for n in some]
    notes += of.floor.notes()
    return Gate(policy, (_candidate(subject, ""),), tuple(notes))


def _arms(records: Sequence[Record]) -> dict[str, ArmRecords]:
    """Regime -> the arm of these records, one for each seed; UserError for several arms."""
    if len({(interventions_key(r.arm.interventions), r.arm.control) for r in records}) > 1:
        texts = tell_apart([describe(r.arm) for r in records])
        named = "; ".join(f"{r.id} {text}" for r, text in zip(records, texts, strict=True))
        raise UserError(f"records of different arms ({named}) cannot be one side; give one arm's.")
    arms: dict[str, ArmRecords] = {}
    for r in records:
        regime = str(r.arm.training["regime"])
        seeds = {**(arms[regime].records if regime in arms else {}), r.arm.seed: r}
        arms[regime] = ArmRecords(tuple(r.arm.interventions), r.arm.control, regime, seeds)
    return arms


def _labels(baseline: Mapping[str, ArmRecords], candidate: Mapping[str, ArmRecords]) -> list[str]:
    """What the two sides are called, by a regime in which they may be compared."""
    regime = next(r for r in candidate if r in baseline)
    first = [side[regime].first.arm for side in (baseline, candidate)]
    return tell_apart([describe(arm, ("regime", "seed")) for arm in first])


def _pair_verdicts(subject: Subject) -> dict[str, Estimate]:
    """Target -> the judged effect of the candidate, by Holm over those that may block."""
    rules = subject.policy.block
    read = {
        t: (m, _pair_estimate(subject, m))
        for t, m in _pair_measures(subject)
        if any(subject.covered(rule, t) for rule in rules)
    }
    tested = {t: p for t, (_, e) in read.items() if (p := e.p) is not None and not e.verdict}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {
        t: judged(e, measure.delta, adjusted[t], len(adjusted)) if t in adjusted else e
        for t, (measure, e) in read.items()
    }


def _pair_measures(subject: Subject) -> Iterator[tuple[str, Measure]]:
    """What each target measures: the candidate's row against a bare baseline, else the columns."""
    of, arm = subject.estimator, next(iter(subject.arms.values()))
    bare = not any(a.interventions for a in subject.baselines.values())
    row = of.row_measures(arm) if bare and arm.interventions else {}
    for aspect in Aspect:
        measure, reference = row.get(aspect, (None, None))
        if measure is None or reference is not None:
            measure = of.table.columns[aspect].on(of.binary)
        yield aspect.value, measure
    yield UTILITY, of.table.utility


def _pair_estimate(subject: Subject, measure: Measure) -> Estimate:
    """The effect of the candidate on a measure, not judged yet."""
    arm = subject.arms.get(measure.regime)
    if arm is None:
        absent = not_measured(f"{subject.label} with training={measure.regime}")
        blank = Estimate(subject.label, {}, measure.regime, measure.metric, measure.against)
        return replace(blank, verdict=absent)
    if measure.against is not None:
        return subject.estimator.raw(arm, measure)
    return subject.difference(arm, subject.baselines.get(measure.regime), measure.metric)


def _candidate(subject: Subject, variant: str) -> Candidate:
    group = subject.estimator.group
    records = [r for a in subject.arms.values() for r in a.records.values()]
    return Candidate(
        dataset=group.dataset.name,
        model=group.model.name,
        variant=variant,
        arm=subject.label,
        against=subject.against,
        dose=next(iter(subject.arms.values())).dose,
        replicates=max(r.replicates for r in records),
        records=tuple(sorted(r.id for r in records)),
        decisions=tuple(decisions(subject)),
    )
