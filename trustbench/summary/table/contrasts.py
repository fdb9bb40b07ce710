"""Paired differences between arms in units of harm, or the verdict in their place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from trustbench.errors import UserError
from trustbench.store.records import MeasurementRecord, Record
from trustbench.summary.stats.effects import Effect, Kind, Verdict, not_measured
from trustbench.summary.stats.nulls import Side, less_chance, side_of
from trustbench.summary.stats.series import Series, Values
from trustbench.summary.stats.verdicts import side_of_zero
from trustbench.summary.table.degenerate import (
    inert,
    known_trivial,
    no_seed,
    nothing_shows,
    shares_replicates,
)
from trustbench.summary.table.effect_numbers import EffectNumbers
from trustbench.summary.table.grouping import ArmRecords


@dataclass(frozen=True)
class Contrast:
    """Differences over replicates and seeds; positive is worse for the treated side."""

    series: Series
    treated: Side
    reference: Side
    unit: str
    records: tuple[str, ...]
    overlap: float = 0.0
    """Test rows over training rows, if pools are splits of one file and share rows."""
    degenerate: Verdict | None = None
    """Why these differences show neither an effect nor its absence; None if they may."""
    less_chance: Series | None = None
    """The differences, each side minus what random groups of the same sizes show; None if neither
    side compares groups, or if the reference is itself what random groups show."""

    @cached_property
    def differences(self) -> Values:
        """[n], spread such that t's interval for independent values is right."""
        return self.series.independent

    @cached_property
    def effect(self) -> Effect:
        """The paired effect of these differences."""
        return self.series.effect(self.overlap)

    @cached_property
    def beyond_chance(self) -> Effect | None:
        """The effect that remains once each side is read against random groups."""
        return None if self.less_chance is None else self.less_chance.effect(self.overlap)

    @cached_property
    def numbers(self) -> EffectNumbers:
        """What every output reads of these differences."""
        less = self.less_chance
        return EffectNumbers(
            unit=self.unit,
            effect=self.effect,
            treated_mean=self.treated.mean,
            reference_mean=self.reference.mean,
            treated_chance=self.treated.chance,
            reference_chance=self.reference.chance,
            beyond_chance=self.beyond_chance,
            records=self.records,
            differences=tuple(self.differences.tolist()),
            less_chance=() if less is None else tuple(less.independent.tolist()),
        )

    @property
    def direction(self) -> int:
        """1 if a harm shows, -1 if a benefit does, 0 if the intervals show neither."""
        return side_of_zero(self.effect, self.beyond_chance)


def _incomplete(record: Record, what: str) -> Verdict | None:
    """Why a record has no numbers at all; None if it has some."""
    reason = record.reason or "no reason recorded"
    if record.status == "ok":
        return None
    if record.status == "unsupported":
        return Verdict(Kind.NOT_APPLICABLE, reason)
    if record.status == "started":
        return not_measured(f"{what} to finish; run the sweep again")
    n = record.replicates
    k = int(record.facts.get("diverged") or n)
    return Verdict(Kind.FAILED, f"{k} of {n}", f"{what}: {reason}")


def measurement(
    record: Record, metric: str, evaluations: Mapping[str, str], what: str
) -> MeasurementRecord | Verdict:
    """A metric of a record, or the reason for none. `what` names the arm in the reason."""
    stopped = _incomplete(record, what)
    if stopped:
        return stopped
    evaluator, name = metric.split("/", 1)
    evaluation = record.evaluations.get(evaluations.get(evaluator, ""))
    if evaluation is None:
        return not_measured(f"evaluator={evaluator} on {what}")
    reason = evaluation.reason or "no reason recorded"
    if evaluation.status == "unsupported":
        return Verdict(Kind.NOT_APPLICABLE, reason)
    if evaluation.status == "started":
        return not_measured(f"evaluator {evaluator} to finish on {what}; run the sweep again")
    if evaluation.status != "ok":
        n = record.replicates
        return Verdict(Kind.FAILED, f"{n} of {n}", f"evaluator {evaluator} on {what}: {reason}")
    if name in evaluation.measurements:
        return evaluation.measurements[name]
    if name in evaluation.missing:
        return Verdict(Kind.NOT_APPLICABLE, evaluation.missing[name])
    return not_measured(f"a metric {metric}, which evaluator {evaluator} did not return on {what}")


def _worst(verdicts: Sequence[tuple[Verdict, Record]], records: Sequence[Record]) -> Verdict:
    """One verdict for an arm with records without numbers: failures are counted together."""
    failed = [(v, r) for v, r in verdicts if v.kind is Kind.FAILED]
    if not failed:
        return verdicts[0][0]
    k = sum(int((v.detail or "0").split()[0]) for v, _ in failed)
    n = sum(r.replicates for r in records)
    return Verdict(Kind.FAILED, f"{k} of {n}", failed[0][0].why)


def side(
    arm: ArmRecords, seeds: Sequence[int], metric: str, evaluations: Mapping[str, str], what: str
) -> Side | Verdict:
    """The metric of each seed's record with its null, or one verdict if any of them has none."""
    key = (metric, evaluations.get(metric.split("/", 1)[0]), *seeds)
    known = arm.sides.get(key)
    if known is not None:
        return known
    found = _side(arm, seeds, metric, evaluations, what)
    if isinstance(found, Side):  # a verdict says how the arm was called
        arm.sides[key] = found
    return found


def _side(
    arm: ArmRecords, seeds: Sequence[int], metric: str, evaluations: Mapping[str, str], what: str
) -> Side | Verdict:
    records = [arm.records[s] for s in seeds]
    found = [measurement(r, metric, evaluations, what) for r in records]
    absent = [(v, r) for v, r in zip(found, records, strict=True) if isinstance(v, Verdict)]
    if absent:
        return _worst(absent, records)
    kept = [m for m in found if isinstance(m, MeasurementRecord)]
    return side_of(records, metric, kept, evaluations[metric.split("/", 1)[0]])


def between(
    treated: ArmRecords,
    reference: ArmRecords | None,
    metric: str,
    evaluations: Mapping[str, str],
    reference_name: str = "the baseline arm (intervention=none)",
) -> Contrast | Verdict:
    """Treated minus reference, replicate by replicate, over the seeds that both have."""
    if reference is None:
        return not_measured(f"{reference_name}, training={treated.regime}")
    seeds = sorted(set(treated.records) & set(reference.records))
    if not seeds:
        return not_measured(f"{reference_name} with seed {min(treated.records)}")
    a = side(treated, seeds, metric, evaluations, treated.label)
    if isinstance(a, Verdict):
        return a
    b = side(reference, seeds, metric, evaluations, reference_name)
    if isinstance(b, Verdict):
        return b
    ids = tuple(arm.records[s].id for arm in (treated, reference) for s in seeds)
    if (a.null is None) != (b.null is None):
        raise UserError(
            f"records {', '.join(ids)} do not all hold what random groups show of {metric}; run "
            "these arms again with one version of trustbench."
        )
    found = _contrast(a, b, metric, ids, overlap_of(treated))
    return found if isinstance(found, Verdict) else _explained(found, treated, reference, metric)


def _explained(
    found: Contrast, treated: ArmRecords, reference: ArmRecords, metric: str
) -> Contrast:
    """The contrast; if no replicate differs, with the reasons that the arms give."""
    sides = found.treated.found, found.reference.found
    if found.degenerate is None or known_trivial(*sides):
        return found
    if shares_replicates(treated, reference):
        return replace(found, degenerate=inert(treated.label, metric))
    if treated.control == "reseed" and found.degenerate.unchanged:
        return replace(found, degenerate=no_seed(metric))
    return found


def within(
    arm: ArmRecords, metric: str, against: str | float, evaluations: Mapping[str, str]
) -> Contrast | Verdict:
    """Observed minus null (or with a channel minus without), both measured on the same arm.

    A number as `against` is the value of the metric under the null.
    """
    seeds = sorted(arm.records)
    a = side(arm, seeds, metric, evaluations, arm.label)
    if isinstance(a, Verdict):
        return a
    b: Side | Verdict
    if isinstance(against, str):
        b = side(arm, seeds, against, evaluations, arm.label)
    else:
        b = Side(tuple(_constant(m, against) for m in a.found))
    if isinstance(b, Verdict):
        return b
    if isinstance(against, str) and _reads_null(a, metric, b, against):
        a, b = replace(a, null=None), replace(b, null=None)  # now read against chance
    return _contrast(a, b, metric, arm.ids, overlap_of(arm))


def _reads_null(treated: Side, metric: str, reference: Side, against: str) -> bool:
    """Whether one of two metrics of an arm is what random groups show of the other."""
    (evaluator, name), (other, null) = metric.split("/", 1), against.split("/", 1)
    nulls = treated.found[0].null == null, reference.found[0].null == name
    return evaluator == other and any(nulls)


def _contrast(
    treated: Side, reference: Side, metric: str, ids: tuple[str, ...], overlap: float
) -> Contrast | Verdict:
    if [len(m.values) for m in treated.found] != [len(m.values) for m in reference.found]:
        raise UserError(
            f"metric {metric} has different numbers of replicates in records {', '.join(ids)}, "
            "so they cannot be paired; run these arms again with one protocol.replicates."
        )
    difference = treated.harm - reference.harm
    if len(difference) < 2:
        return not_measured("at least 2 replicates")
    found = Contrast(
        series=difference,
        treated=treated,
        reference=reference,
        unit=treated.found[0].unit,
        records=ids,
        overlap=overlap,
        less_chance=less_chance(treated, reference),
    )
    nothing = nothing_shows(treated.found, reference.found, found.differences, metric)
    return replace(found, degenerate=nothing)


def overlap_of(arm: ArmRecords) -> float:
    """Test rows over pool rows; 0 if every seed generates its own rows."""
    problem = next((r.problem for r in arm.records.values() if r.problem), None)
    if problem is None or problem.card.get("synthetic"):
        return 0.0
    return problem.sizes["test"] / problem.sizes["train"]


def _constant(like: MeasurementRecord, value: float) -> MeasurementRecord:
    """The measurement with one value on every replicate."""
    same = [value] * len(like.values)
    kept = {"pseudo": None, "shadowing": None, "common_sd": None, "null": None, "permuted": None}
    return like.model_copy(update={"values": same, **kept})


def metrics_of(arm: ArmRecords, evaluations: Mapping[str, str]) -> list[str]:
    """Every metric from which an effect may be read, in the records of an arm."""
    found: dict[str, Any] = {}
    for record in arm.records.values():
        for evaluator, key in evaluations.items():
            evaluation = record.evaluations.get(key)
            for name, m in (evaluation.measurements if evaluation else {}).items():
                if not m.diagnostic:
                    found[f"{evaluator}/{name}"] = None
    return sorted(found)
