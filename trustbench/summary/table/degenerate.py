"""Pairs in which nothing can show: no test of a difference, or of its absence, applies."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trustbench.store.records import MeasurementRecord
from trustbench.summary.stats.effects import ROUNDING, Kind, Verdict
from trustbench.summary.table.grouping import ArmRecords

UNCHANGED = "unchanged by construction"


def shares_replicates(treated: ArmRecords, reference: ArmRecords) -> bool:
    """Whether two arms deploy the very same trained replicates, seed by seed."""
    seeds = set(treated.records) & set(reference.records)
    return all(treated.records[s].fit == reference.records[s].fit for s in seeds)


def nothing_shows(
    treated: Sequence[MeasurementRecord],
    reference: Sequence[MeasurementRecord],
    differences: NDArray[np.float64],
    metric: str,
) -> Verdict | None:
    """The verdict on a pair in which no replicate differs; None if some replicate does.

    A constant difference other than zero is a finding: it repeats on every replicate. Equal values
    on both sides of every replicate are not: if both sides are constant nothing could show, and if
    they are identical the two arms are the same for this metric.
    """
    if any(m.common_sd for m in (*treated, *reference)):
        return None
    if np.abs(differences).max() > ROUNDING * max(1.0, *map(_largest, (*treated, *reference))):
        return None
    values = _values(treated)
    if np.ptp(values):
        return Verdict(
            Kind.NOT_APPLICABLE,
            "no replicate differs",
            f"{metric} is the same on both sides of every replicate, so that no test applies",
            unchanged=True,
        )
    trivial = known_trivial(treated, reference)
    if trivial is not None:
        return Verdict(Kind.NOT_APPLICABLE, trivial)
    where = _bound(treated[0], float(values[0]))
    return Verdict(
        Kind.NOT_APPLICABLE,
        f"constant at {values[0]:z.6g}",
        f"{metric} is {values[0]:z.6g} on both sides of all {len(values)} replicates{where}: it "
        "does not vary, so that nothing could show",
    )


def known_trivial(
    treated: Sequence[MeasurementRecord], reference: Sequence[MeasurementRecord]
) -> str | None:
    """Why one side is at its bound whatever its method does, as its evaluator says."""
    return next((m.trivial for m in (*treated, *reference) if m.trivial), None)


def inert(label: str, metric: str) -> Verdict:
    """The verdict on an arm that shares its replicates and changed nothing that a metric reads."""
    return Verdict(
        Kind.NOT_APPLICABLE,
        UNCHANGED,
        f"{label} deploys the replicates that it is compared with and changes "
        f"nothing that {metric} reads",
        unchanged=True,
    )


def no_seed(metric: str) -> Verdict:
    """The verdict on a reseed control that equals the baseline on every replicate."""
    return Verdict(
        Kind.NOT_APPLICABLE,
        "no replicate differs",
        f"the reseed control has the {metric} of the baseline on every replicate: training does "
        "not depend on the seed here, so that it shows no false-alarm rate",
    )


def _bound(m: MeasurementRecord, value: float) -> str:
    if value == m.lower:
        return ", its lower bound"
    return ", its upper bound" if value == m.upper else ""


def _values(found: Sequence[MeasurementRecord]) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(m.values, dtype=np.float64) for m in found])


def _largest(m: MeasurementRecord) -> float:
    return max(map(abs, m.values))
