"""The null of random groups of the same sizes, against which metrics over groups are read.

Noise alone moves a maximum, a minimum or a gap over groups away from zero, and more so the noisier
a model is. Such a measurement names its null, and a difference of two arms counts only as far as
the difference of (metric - null) agrees with it. The rule depends on the measurement, not on its
name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from trustbench.errors import UserError
from trustbench.store.records import Evaluation, MeasurementRecord, Record
from trustbench.summary.stats.effects import ROUNDING, Effect
from trustbench.summary.stats.series import Series


@dataclass(frozen=True)
class Side:
    """A metric of one arm, one record per seed, and its null; None if it compares no groups."""

    found: tuple[MeasurementRecord, ...]
    null: tuple[MeasurementRecord, ...] | None = None

    @cached_property
    def harm(self) -> Series:
        """The metric, with its sign turned so that larger is worse."""
        return _harm(self.found)

    @cached_property
    def excess(self) -> Series:
        """The harm minus that of random groups; zero if no groups are compared."""
        return 0.0 * self.harm if self.null is None else self.harm - _harm(self.null)

    @cached_property
    def mean(self) -> float:
        """The mean over seeds and replicates, in the metric's own unit."""
        return _mean(self.found)

    @cached_property
    def chance(self) -> float | None:
        """The mean of the null."""
        return None if self.null is None else _mean(self.null)


def side_of(
    records: Sequence[Record], metric: str, found: Sequence[MeasurementRecord], key: str
) -> Side:
    """A metric's measurements, one per record, from evaluation `key`, with their null.

    Raises:
        UserError: the records disagree on the null, or one of them does not hold it.
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
    """The null of a measurement of this evaluation; None if it has none, or if it is missing."""
    return None if m.null is None else evaluation.measurements.get(m.null)


def less_chance(treated: Side, reference: Side) -> Series | None:
    """Treated minus reference, each minus its null; None if neither compares groups.

    Floating-point residues of equal values become zero.
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
    """Metric -> its mean over random groups, for the metrics that compare groups."""
    nulls = {name: m.null for name, m in measurements.items() if m.null is not None}
    return {name: float(np.mean(measurements[null].values)) for name, null in nulls.items()}


def _harm(found: Sequence[MeasurementRecord]) -> Series:
    return Series.of(found, -1.0 if found[0].higher_is_better else 1.0)


def _mean(found: Sequence[MeasurementRecord]) -> float:
    return float(np.concatenate([np.asarray(m.values, dtype=np.float64) for m in found]).mean())
