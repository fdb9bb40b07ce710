"""What random groups of the same sizes show, and metrics over groups read against it.

A maximum, a minimum or a gap over groups is away from zero by noise alone, and the noisier a model
is, the further. Such a measurement names its null, and a difference of two arms counts as far as
the difference of (metric - null) agrees with it. The rule follows the measurement, not its name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from trustbench.errors import UserError
from trustbench.store.records import Evaluation, MeasurementRecord, Record
from trustbench.summary.stats.effects import ROUNDING, Effect
from trustbench.summary.stats.series import Series


class Side(NamedTuple):
    """A metric of one arm, a record per seed, and its null; None where it compares no groups."""

    found: tuple[MeasurementRecord, ...]
    null: tuple[MeasurementRecord, ...] | None = None

    @property
    def harm(self) -> Series:
        """The metric, with the sign turned so that more is worse."""
        return _harm(self.found)

    @property
    def excess(self) -> Series:
        """The harm less that of random groups; zero where no groups are compared."""
        return 0.0 * self.harm if self.null is None else self.harm - _harm(self.null)

    @property
    def mean(self) -> float:
        """Over seeds and replicates, in the metric's own unit."""
        return _mean(self.found)

    @property
    def chance(self) -> float | None:
        """The mean of the null."""
        return None if self.null is None else _mean(self.null)


def side_of(
    records: Sequence[Record], metric: str, found: Sequence[MeasurementRecord], key: str
) -> Side:
    """A metric's measurements, one of each record's evaluation `key`, with their null.

    Raises:
        UserError: the records do not agree on the null, or one of them does not hold it.
    """
    names = {m.null for m in found}
    if names == {None}:
        return Side(tuple(found))
    nulls = [null_of(r.evaluations[key], m) for r, m in zip(records, found, strict=True)]
    kept = tuple(n for n in nulls if n is not None)
    if len(names) > 1 or len(kept) < len(found):
        raise UserError(
            f"records {', '.join(r.id for r in records)} do not all hold what random groups show "
            f"of {metric}; run these arms again with one version of trustbench."
        )
    return Side(tuple(found), kept)


def null_of(evaluation: Evaluation, m: MeasurementRecord) -> MeasurementRecord | None:
    """The null of a measurement of this evaluation; None where it has none, or it is missing."""
    return None if m.null is None else evaluation.measurements.get(m.null)


def less_chance(treated: Side, reference: Side) -> Series | None:
    """Treated minus reference, each less its null; None where neither compares groups.

    What floating-point error leaves of values that are equal is zero.
    """
    if treated.null is None and reference.null is None:
        return None
    series = treated.excess - reference.excess
    largest = max(float(np.abs(m.values).max()) for m in (*treated.found, *reference.found))
    nothing = np.abs(series.values) <= ROUNDING * max(1.0, largest)
    return replace(series, values=np.where(nothing, 0.0, series.values))


def excess_of(side: Side, overlap: float = 0.0) -> Effect | None:
    """The mean of (metric - null) of one arm, in the metric's own unit; None without a null."""
    if side.null is None:
        return None
    return (Series.of(side.found) - Series.of(side.null)).effect(overlap)


def chance_means(measurements: Mapping[str, MeasurementRecord]) -> dict[str, float]:
    """Metric -> what it is on average for random groups, of those that compare groups."""
    nulls = {name: m.null for name, m in measurements.items() if m.null is not None}
    return {name: float(np.mean(measurements[null].values)) for name, null in nulls.items()}


def _harm(found: Sequence[MeasurementRecord]) -> Series:
    return Series.of(found, -1.0 if found[0].higher_is_better else 1.0)


def _mean(found: Sequence[MeasurementRecord]) -> float:
    return float(np.concatenate([np.asarray(m.values, dtype=np.float64) for m in found]).mean())
