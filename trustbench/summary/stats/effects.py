"""Paired effects, their equivalence test, and the verdict that a table cell prints.

Everything is in raw units of harm: a difference is positive if the treated side is worse.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

ALPHA = 0.05
"""Two-sided level of the interval, of Holm's family, and one-sided level of each TOST test."""
FDR = 0.10
"""Level of Benjamini-Hochberg over the exploratory grid."""
POWER = 0.80
"""Power for which the required number of replicates is computed."""
ROUNDING = 1e-12
"""Differences with a smaller relative spread count as constant."""
LARGEST_N = 100_000
"""Larger studies are not a plan; their number is printed as `> 100000`."""


class Kind(StrEnum):
    """The eight verdicts; `Verdict.text` adds the parenthesis."""

    HARM = "harm"
    BENEFIT = "benefit"
    NO_MATERIAL = "no material effect"
    IMMATERIAL = "significant but immaterial"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not applicable"
    FAILED = "failed"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Verdict:
    """A verdict and the content of its parenthesis; `why` may say more than fits there."""

    kind: Kind
    detail: str | None = None
    why: str | None = None
    unchanged: bool = False
    """No replicate differs because the two sides are the same for a metric that can vary."""
    needs: str | None = None
    """For an inconclusive verdict: how many replicates would settle it, `n = 34`."""
    by_chance: bool = False
    """Random groups of the same sizes show a difference as large as the one between the sides."""

    @property
    def text(self) -> str:
        """The verdict as printed.

        >>> Verdict(Kind.INCONCLUSIVE, "needs n = 34").text
        'inconclusive (needs n = 34)'
        """
        return f"{self.kind} ({self.detail})" if self.detail else str(self.kind)

    @property
    def reason(self) -> str | None:
        """The reason for a missing number; None if there is a number."""
        return self.why or self.detail

    @property
    def sentence(self) -> str:
        """The verdict, and the part of the reason that its parenthesis leaves out.

        >>> Verdict(Kind.FAILED, "1 of 2", "out of memory").sentence
        'failed (1 of 2): out of memory'
        """
        return f"{self.text}: {self.why}" if self.why and self.why != self.detail else self.text


def not_measured(needs: str) -> Verdict:
    """The verdict of a cell without any measurement, and what it needs."""
    return Verdict(Kind.NOT_MEASURED, f"needs {needs}")


@dataclass(frozen=True)
class Effect:
    """The mean of n paired differences, with its 95 % (`low`, `high`) and 90 % t intervals.

    With one pool the t statistic rests on the n differences and the interval is conditional on that
    pool's data. With several it rests on the means of the pools, and covers the population from
    which the pools were drawn. `sd` is the standard deviation of the numbers behind t; `common` is
    the part of the standard error in addition to sd / sqrt(units), which the units share.

    `dz` is the mean over the standard deviation with Hedges' small-sample factor; None if the
    differences do not vary. `p` is two-sided, for a mean of zero.
    """

    effect: float
    low: float
    high: float
    n: int
    sd: float
    dz: float | None
    p: float
    low90: float
    high90: float
    pools: int = 1
    common: float = 0.0

    @property
    def units(self) -> int:
        """The number of values behind t."""
        return self.n if self.pools == 1 else self.pools

    @property
    def error(self) -> float:
        """The standard error."""
        return math.hypot(self.sd / math.sqrt(self.units), self.common)


def paired_effect(
    differences: NDArray[np.floating[Any]],
    pools: NDArray[np.integer[Any]] | None = None,
    common_sd: float = 0.0,
    overlap: float = 0.0,
) -> Effect:
    """The effect over n >= 2 paired differences [n], in their own unit.

    `pools` [n] says which draw of the data each difference comes from (None: one for all).
    `common_sd` is the standard deviation of an error that all replicates of one pool share.
    `overlap` is test rows over training rows if several pools are splits of the same rows; their
    variance is then (1 / K + overlap) s^2.

    Differences that neither vary nor share an error have an interval of zero width: p is 1 if they
    are zero and 0 otherwise. Raises ValueError for fewer than two or for non-finite differences.

    Reference: Student's t for a paired mean; Hedges 1981 for the factor 1 - 3 / (4 df - 1);
    Nadeau and Bengio 2003, section 4 (overlap).
    """
    d = np.asarray(differences, dtype=np.float64)
    low, high = (float(d.min()), float(d.max())) if d.size else (0.0, 0.0)
    if d.ndim != 1 or len(d) < 2 or not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"a paired effect needs at least 2 finite differences, got {d!r}")
    if pools is not None and (pools != pools[0]).any():
        means = np.array([d[pools == k].mean() for k in np.unique(pools)])
        of_pools = paired_effect(means, common_sd=math.sqrt(overlap) * float(means.std(ddof=1)))
        return replace(of_pools, n=len(d), pools=of_pools.n)
    n = len(d)
    mean, sd = mean_and_sd(d)
    if high - low <= ROUNDING * max(abs(low), abs(high)):  # equal up to floating-point error
        mean, sd = float(d[0]) + 0.0, 0.0  # never minus zero
        if common_sd == 0:
            return Effect(mean, mean, mean, n, sd, None, float(mean == 0), mean, mean)
    error, df = math.hypot(sd / math.sqrt(n), common_sd), n - 1
    half95 = quantile(df, 1 - ALPHA / 2) * error
    half90 = quantile(df, 1 - ALPHA) * error
    return Effect(
        effect=mean,
        low=mean - half95,
        high=mean + half95,
        n=n,
        sd=sd,
        dz=mean / sd * (1 - 3 / (4 * df - 1)) if sd else None,
        p=2 * float(stdtr(df, -abs(mean) / error)),
        low90=mean - half90,
        high90=mean + half90,
        common=common_sd,
    )


def mean_and_sd(values: NDArray[np.float64]) -> tuple[float, float]:
    """The same bits as `values.mean()` and `values.std(ddof=1)`, in a third of the time."""
    n = len(values)
    mean = float(np.add.reduce(values)) / n
    away = values - mean
    return mean, math.sqrt(float(np.add.reduce(away * away)) / (n - 1))


@lru_cache(maxsize=4096)  # a table of a thousand arms asks for the same few
def quantile(df: int, level: float) -> float:
    """The quantile of Student's t at `level`, with `df` degrees of freedom."""
    return float(stdtrit(df, level))


def tost_p(effect: Effect, delta: float) -> float:
    """The p value of two one-sided tests that the mean lies inside (-delta, delta).

    It is at most ALPHA exactly if the 90 % interval lies inside. It is 1 if the differences do not
    vary: without spread there is no test.

    Reference: Schuirmann 1987.
    """
    if effect.error == 0:
        return 1.0
    return float(stdtr(effect.units - 1, (abs(effect.effect) - delta) / effect.error))


class Aim(NamedTuple):
    """What a study must distinguish: a distance, by a one-sided test of this level and power."""

    distance: float
    level: float
    power: float


def smallest_n(sd: float, aim: Aim, common: float = 0.0) -> int | None:
    """The smallest n that reaches an aim; None beyond LARGEST_N.

    At this n, the t quantiles of n - 1 degrees of freedom at the level and at the power, times the
    standard error of n replicates, hypot(sd / sqrt(n), common), are at most the distance.
    """

    def enough(n: int) -> bool:
        quantiles = quantile(n - 1, 1 - aim.level) + quantile(n - 1, aim.power)
        return quantiles * math.hypot(sd / math.sqrt(n), common) <= aim.distance

    low, high = 2, LARGEST_N
    if not enough(high):
        return None
    while low < high:  # `enough` is monotone: as n grows, the quantiles and the error fall
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def out_of_reach(aim: Aim, common: float) -> bool:
    """Whether the part of the error that remains for any n makes an aim impossible."""
    return float(ndtri(1 - aim.level) + ndtri(aim.power)) * common >= aim.distance


def required_n(sd: float, delta: float, common: float = 0.0) -> int | None:
    """Replicates for which TOST has power 0.8 at a true effect of 0; None beyond LARGEST_N.

    (t_{1-alpha} + t_{1-beta/2}) hypot(sd / sqrt(n), common) <= delta, n - 1 degrees of freedom.

    >>> [required_n(1.0, d) for d in (0.5, 1.0, 2.0)]
    [36, 11, 4]
    """
    return smallest_n(sd, Aim(delta, ALPHA, (1 + POWER) / 2), common)


def required_n_text(effect: Effect, aims: Sequence[Aim]) -> str:
    """`n = 34`: the smallest number of replicates, beyond those that ran, that reaches an aim.

    Counts pools if t rests on pools. Replicates of one pool share the error of its rows (`common`),
    and pools that are splits of one file share rows. If the remaining error makes every aim
    impossible, the text says what else is needed.

    >>> effect = paired_effect(np.array([0.0, 0.1, 0.2]), common_sd=0.1)
    >>> required_n_text(effect, [Aim(0.3, 0.025, 0.8)])
    'n = 23'
    >>> required_n_text(effect, [Aim(0.2, 0.025, 0.8)])
    'more points or pools: no n is enough'
    """
    one_pool = effect.pools == 1
    found = [smallest_n(effect.sd, aim, effect.common) for aim in aims]
    numbers = [max(n, effect.units + 1) for n in found if n is not None]
    if numbers:
        return f"{'n' if one_pool else 'pools'} = {min(numbers)}"
    if effect.common and all(out_of_reach(aim, effect.common) for aim in aims):
        return (
            "more points or pools: no n is enough"
            if one_pool
            else "more data: no number of pools is enough"
        )
    return f"{'n' if one_pool else 'pools'} > {LARGEST_N}"
