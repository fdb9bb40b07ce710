"""Values over replicates, with the errors that replicates share."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trustbench.store.records import MeasurementRecord
from trustbench.summary.stats.effects import Effect, paired_effect

Values = NDArray[np.float64]

LARGEST_VARIANCE = 4.0
"""Maximum ratio of the standard error of a mean to that of independent values, reached if pairs
share all."""


@dataclass(frozen=True)
class Series:
    """One quantity over seeds and replicates, [n]; sums and differences of series are series.

    `shadowing` [n] is what each replicate, as a shadow model, adds to the values of the others of
    its pool, zero without shadows; `pools` [n] says which draw of the data each value comes from.

    All replicates of a pool share two kinds of error. `drawn` [pools, K] is the quantity under K
    random groupings of the pool's rows: arms share the groupings, so chance that affects both sides
    cancels in their difference. `fixed` is the standard deviation of any other shared error, which
    is independent between the parts of a sum.
    """

    values: Values
    shadowing: Values
    pools: NDArray[np.int64]
    drawn: Values | None = None
    fixed: float = 0.0

    @classmethod
    def of(cls, found: Sequence[MeasurementRecord], sign: float = 1.0) -> "Series":
        """A metric of one arm, one record per seed."""
        values = [m.values if m.pseudo is None else m.pseudo for m in found]
        moved = [np.zeros(len(m.values)) if m.shadowing is None else m.shadowing for m in found]
        draws = [m.permuted for m in found if m.permuted is not None]
        drawn = len(draws) == len(found) and len({len(d) for d in draws}) == 1
        return cls(
            sign * np.concatenate(values).astype(np.float64),
            sign * np.concatenate(moved).astype(np.float64),
            np.repeat(np.arange(len(values)), [len(v) for v in values]),
            sign * np.array(draws, dtype=np.float64) if drawn else None,
            0.0 if drawn else max(m.common_sd or 0.0 for m in found),
        )

    def __len__(self) -> int:
        return len(self.values)

    def __add__(self, other: "Series") -> "Series":
        drawn, fixed = self.drawn, math.hypot(self.fixed, other.fixed)
        if drawn is None:
            drawn = other.drawn
        elif other.drawn is not None and other.drawn.shape == drawn.shape:
            drawn = drawn + other.drawn
        elif other.drawn is not None:  # other groupings: nothing is known to cancel
            drawn, fixed = (
                None,
                math.hypot(fixed, _grouping_sd(self.drawn), _grouping_sd(other.drawn)),
            )
        return Series(
            self.values + other.values, self.shadowing + other.shadowing, self.pools, drawn, fixed
        )

    def __sub__(self, other: "Series") -> "Series":
        return self + -1.0 * other

    def __rmul__(self, factor: float) -> "Series":
        return replace(
            self,
            values=factor * self.values,
            shadowing=factor * self.shadowing,
            drawn=None if self.drawn is None else factor * self.drawn,
            fixed=abs(factor) * self.fixed,
        )

    @property
    def common_sd(self) -> float:
        """The standard deviation of the error that all replicates of a pool share."""
        return math.hypot(self.fixed, _grouping_sd(self.drawn))

    def effect(self, overlap: float = 0.0) -> Effect:
        """The mean with its intervals; `overlap` as in `paired_effect`."""
        return paired_effect(self.independent, self.pools, self.common_sd, overlap)

    @cached_property
    def independent(self) -> Values:
        """Values of the same mean, spread such that t's interval for independent values is right.

        Replicate i moves the mean by its value as a target, T_i, and as a shadow of the others,
        S_i. The variance of the mean is that of T + S, whereas independence would use T alone. The
        variance of S is left out: it mostly reflects leaving one of few shadows out, which the mean
        does not have. docs/statistics.md measures how far the estimate holds.
        """
        if not self.shadowing.any():
            return self.values
        spread = np.array(self.values)
        for pool in np.unique(self.pools):
            here = self.pools == pool
            spread[here] = _spread(self.values[here], self.shadowing[here])
        return spread


def mean_of(found: Sequence[MeasurementRecord], overlap: float = 0.0) -> Effect:
    """A metric's mean over replicates, with the interval that every output prints.

    It takes one record per seed; `overlap` as in `paired_effect`. The interval accounts for
    dependent values and shared errors, and is not cut at the metric's bounds.

    Raises:
        ValueError: there are fewer than two values, which have no interval.
    """
    return Series.of(found).effect(overlap)


def mean_of_part(
    parts: Sequence[Values], wholes: Sequence[MeasurementRecord] | None, overlap: float = 0.0
) -> Effect:
    """The mean of a part, such as a group, with the interval that every output prints.

    `parts` are its values [R], one array per seed; `wholes` are the same metric over all rows,
    whose replicates are as dependent as those of the part (None: unknown).

    Raises:
        ValueError: as in `mean_of`.
    """
    pools = np.repeat(np.arange(len(parts)), [len(v) for v in parts])
    if wholes is not None:
        parts = [as_dependent_as(v, m) for v, m in zip(parts, wholes, strict=True)]
    return paired_effect(np.concatenate(parts), pools, overlap=overlap)


def as_dependent_as(values: Values, whole: MeasurementRecord) -> Values:
    """Spreads values [R] of a part by the factor of the same metric over all rows."""
    plain = np.asarray(whole.values, dtype=np.float64)
    own = Series.of([whole]).independent
    factor = float(own.std() / plain.std()) if np.ptp(plain) else 1.0
    return np.asarray(values.mean() + factor * (values - values.mean()))


def _grouping_sd(drawn: Values | None) -> float:
    """The standard deviation over groupings, for the pool in which it is largest."""
    return 0.0 if drawn is None else float(drawn.std(axis=1, ddof=1).max())


def _spread(values: Values, shadowing: Values) -> Values:
    if len(values) < 2 or not shadowing.any() or not np.ptp(values):
        return values
    (variance, covariance), _ = np.cov(values, shadowing)
    # it is positive, and sampling error alone would make the interval shorter than t's
    factor = np.clip(1 + 2 * covariance / variance, 1.0, LARGEST_VARIANCE)
    return np.asarray(values.mean() + np.sqrt(factor) * (values - values.mean()))
