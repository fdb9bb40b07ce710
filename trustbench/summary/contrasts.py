"""Paired differences between arms in units of harm, or the verdict that says why there are none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trustbench.errors import UserError
from trustbench.records import MeasurementRecord, Record
from trustbench.summary.degenerate import (
    inert,
    known_trivial,
    no_seed,
    nothing_shows,
    shares_replicates,
)
from trustbench.summary.effects import Effect, Kind, Verdict, not_measured, paired_effect
from trustbench.summary.grouping import ArmRecords
from trustbench.summary.series import Series, Values


@dataclass(frozen=True)
class Contrast:
    """Differences [n] over replicates and seeds; positive is worse for the treated side."""

    differences: Values
    pools: NDArray[np.int64]  # [n], which draw of the data each difference comes from
    treated_mean: float
    reference_mean: float
    unit: str
    records: tuple[str, ...]
    common_sd: float = 0.0
    """Of an error that all replicates of a pool share."""
    overlap: float = 0.0
    """Test rows over training rows, where pools are splits of one file and share rows."""
    degenerate: Verdict | None = None
    """Why these differences show neither an effect nor its absence; None where they may."""

    @property
    def effect(self) -> Effect:
        """The paired effect of these differences."""
        return paired_effect(self.differences, self.pools, self.common_sd, self.overlap)


def _incomplete(record: Record, what: str) -> Verdict | None:
    """Why a record has no numbers at all; None when it has."""
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
    """A metric of a record, or why there is none. `what` names the arm in the reason."""
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
    """One verdict for an arm whose records do not all have numbers: failures count together."""
    failed = [(v, r) for v, r in verdicts if v.kind is Kind.FAILED]
    if not failed:
        return verdicts[0][0]
    k = sum(int((v.detail or "0").split()[0]) for v, _ in failed)
    n = sum(r.replicates for r in records)
    return Verdict(Kind.FAILED, f"{k} of {n}", failed[0][0].why)


def _series(
    arm: ArmRecords, seeds: Sequence[int], metric: str, evaluations: Mapping[str, str], what: str
) -> list[MeasurementRecord] | Verdict:
    """The metric of each seed's record, or one verdict when any of them has none."""
    records = [arm.records[s] for s in seeds]
    found = [measurement(r, metric, evaluations, what) for r in records]
    absent = [(v, r) for v, r in zip(found, records, strict=True) if isinstance(v, Verdict)]
    if absent:
        return _worst(absent, records)
    return [m for m in found if isinstance(m, MeasurementRecord)]


def harm_of(arm: ArmRecords, metric: str, evaluations: Mapping[str, str]) -> Series | Verdict:
    """An arm's values over its seeds and replicates, in units of harm, or why there are none."""
    found = _series(arm, sorted(arm.records), metric, evaluations, arm.label)
    return found if isinstance(found, Verdict) else _harm(found)


def _harm(found: Sequence[MeasurementRecord]) -> Series:
    """With the sign turned so that more is worse."""
    return Series.of(found, -1.0 if found[0].higher_is_better else 1.0)


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
    a = _series(treated, seeds, metric, evaluations, treated.label)
    if isinstance(a, Verdict):
        return a
    b = _series(reference, seeds, metric, evaluations, reference_name)
    if isinstance(b, Verdict):
        return b
    ids = tuple(arm.records[s].id for arm in (treated, reference) for s in seeds)
    found = _contrast(a, b, metric, ids, _overlap(treated))
    if isinstance(found, Verdict) or found.degenerate is None or known_trivial(a, b):
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

    A number as `against` is what the metric would be under the null.
    """
    seeds = sorted(arm.records)
    a = _series(arm, seeds, metric, evaluations, arm.label)
    if isinstance(a, Verdict):
        return a
    if isinstance(against, str):
        b = _series(arm, seeds, against, evaluations, arm.label)
    else:
        b = [_constant(m, against) for m in a]
    if isinstance(b, Verdict):
        return b
    return _contrast(a, b, metric, arm.ids, _overlap(arm))


def _contrast(
    treated: Sequence[MeasurementRecord],
    reference: Sequence[MeasurementRecord],
    metric: str,
    ids: tuple[str, ...],
    overlap: float,
) -> Contrast | Verdict:
    if [len(m.values) for m in treated] != [len(m.values) for m in reference]:
        raise UserError(
            f"metric {metric} has different numbers of replicates in records {', '.join(ids)}, "
            "so they cannot be paired; run these arms again with one protocol.replicates."
        )
    difference = _harm(treated) - _harm(reference)
    if len(difference) < 2:
        return not_measured("at least 2 replicates")
    differences = difference.independent
    return Contrast(
        degenerate=nothing_shows(treated, reference, differences, metric),
        differences=differences,
        pools=difference.pools,
        treated_mean=_mean(treated),
        reference_mean=_mean(reference),
        unit=treated[0].unit,
        records=ids,
        common_sd=max(m.common_sd or 0.0 for m in (*treated, *reference)),
        overlap=overlap,
    )


def _mean(found: Sequence[MeasurementRecord]) -> float:
    return float(np.concatenate([np.asarray(m.values, dtype=np.float64) for m in found]).mean())


def _overlap(arm: ArmRecords) -> float:
    """Test rows over pool rows; 0 where every seed makes rows of its own."""
    problem = next((r.problem for r in arm.records.values() if r.problem), None)
    if problem is None or problem.card.get("synthetic"):
        return 0.0
    return problem.sizes["test"] / problem.sizes["train"]


def _constant(like: MeasurementRecord, value: float) -> MeasurementRecord:
    """A measurement that has one value on every replicate."""
    same = [value] * len(like.values)
    return like.model_copy(update={"values": same, "pseudo": None, "shadowing": None})


def metrics_of(arm: ArmRecords, evaluations: Mapping[str, str]) -> list[str]:
    """Every metric that an effect may be read from, in the records of an arm."""
    found: dict[str, Any] = {}
    for record in arm.records.values():
        for evaluator, key in evaluations.items():
            evaluation = record.evaluations.get(key)
            for name, m in (evaluation.measurements if evaluation else {}).items():
                if not m.diagnostic:
                    found[f"{evaluator}/{name}"] = None
    return sorted(found)
