"""Values over replicates, with how much replicates that are each other's shadows move together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trustbench.records import MeasurementRecord
from trustbench.summary.effects import Effect, paired_effect

Values = NDArray[np.float64]

LARGEST_VARIANCE = 4.0
"""Of a mean, over that of independent values: no more is possible where pairs share all."""


@dataclass(frozen=True)
class Series:
    """One quantity over seeds and replicates, [n]; differences of series are series.

    `shadowing` [n] is what each replicate, as a shadow model, adds to the values of the others of
    its pool, zero where there are no shadows; `pools` [n] says which draw of the data each value
    comes from.
    """

    values: Values
    shadowing: Values
    pools: NDArray[np.int64]

    @classmethod
    def of(cls, found: Sequence[MeasurementRecord], sign: float = 1.0) -> "Series":
        """A metric of one arm, a record per seed."""
        values = [m.values if m.pseudo is None else m.pseudo for m in found]
        moved = [np.zeros(len(m.values)) if m.shadowing is None else m.shadowing for m in found]
        return cls(
            sign * np.concatenate(values).astype(np.float64),
            sign * np.concatenate(moved).astype(np.float64),
            np.repeat(np.arange(len(values)), [len(v) for v in values]),
        )

    def __len__(self) -> int:
        return len(self.values)

    def __add__(self, other: "Series") -> "Series":
        return Series(self.values + other.values, self.shadowing + other.shadowing, self.pools)

    def __sub__(self, other: "Series") -> "Series":
        return self + -1.0 * other

    def __rmul__(self, factor: float) -> "Series":
        return Series(factor * self.values, factor * self.shadowing, self.pools)

    @property
    def independent(self) -> Values:
        """Values of the same mean, spread so that t's interval for independent values is right.

        Replicate i moves the mean by its value as a target, T_i, and as a shadow of the others,
        S_i: the variance of the mean is that of T + S, of which T alone would be taken. The
        variance of S is left out: it is mostly that of leaving one shadow out of few, which the
        mean does not have. How far the estimate holds is measured in docs/statistics.md.
        """
        spread = np.array(self.values)
        for pool in np.unique(self.pools):
            here = self.pools == pool
            spread[here] = _spread(self.values[here], self.shadowing[here])
        return spread


def mean_of(found: Sequence[MeasurementRecord], overlap: float = 0.0) -> Effect:
    """A metric's mean over replicates, with the interval that every output prints beside it.

    One record per seed; `overlap` as in `paired_effect`. The interval is as wide as dependent
    values and errors that they share ask, and is not cut at the metric's bounds.

    Raises:
        ValueError: there are fewer than two values, which have no interval.
    """
    series = Series.of(found)
    common = max(m.common_sd or 0.0 for m in found)
    return paired_effect(series.independent, series.pools, common, overlap)


def as_dependent_as(values: Values, whole: MeasurementRecord) -> Values:
    """Values [R] of a part, a group say, spread by the factor of the same metric over all rows."""
    plain = np.asarray(whole.values, dtype=np.float64)
    own = Series.of([whole]).independent
    factor = float(own.std() / plain.std()) if np.ptp(plain) else 1.0
    return np.asarray(values.mean() + factor * (values - values.mean()))


def _spread(values: Values, shadowing: Values) -> Values:
    if len(values) < 2 or not shadowing.any() or not np.ptp(values):
        return values
    (variance, covariance), _ = np.cov(values, shadowing)
    # it is positive, and sampling error alone would make the interval shorter than t's
    factor = np.clip(1 + 2 * covariance / variance, 1.0, LARGEST_VARIANCE)
    return np.asarray(values.mean() + np.sqrt(factor) * (values - values.mean()))
