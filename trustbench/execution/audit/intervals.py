"""Intervals over rows: exact for a rate, of bootstrap draws otherwise."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr

from trustbench.contracts import Array, Metric
from trustbench.methods.attacks.membership import clopper_pearson

Method = Literal["exact", "bootstrap"]


@dataclass(frozen=True)
class RowInterval:
    """A 95 % interval (`low`, `high`) and a 90 % one, with the standard error of the number."""

    value: float
    low: float
    high: float
    low90: float
    high90: float
    se: float
    method: Method


def exact(value: float, n: int) -> RowInterval:
    """The interval of Clopper and Pearson of a share of n rows.

    >>> found = exact(0.9, 100)
    >>> round(found.low, 4), round(found.high, 4)
    (0.8238, 0.951)
    """
    k = round(value * n)
    ends = [clopper_pearson(np.array(k), np.array(n), c) for c in (0.975, 0.95)]
    (low, high), (low90, high90) = ((float(a), float(b)) for a, b in ends)
    se = float(np.sqrt(value * (1.0 - value) / n))
    return RowInterval(value, low, high, low90, high90, se, "exact")


def bootstrap(value: float, draws: Array, within: Metric | None = None) -> RowInterval:
    """The percentiles of bootstrap draws [B], moved so that the mean of the draws is the value.

    Some numbers (a calibration error, a gap over groups) are larger by noise alone, and larger
    again on redrawn rows. Moved, the percentiles speak of the number as it is measured on this many
    rows. They stay within the bounds that the metric declares.
    """
    ends = np.quantile(draws, [0.025, 0.975, 0.05, 0.95]) + (value - draws.mean())
    bounds = [within and within.lower, within and within.upper]
    low, high = (b if isinstance(b, float) else None for b in bounds)
    ends = np.clip(ends, low, high)
    low95, high95, low90, high90 = (float(end) for end in ends)
    se = float(np.std(draws, ddof=1))
    return RowInterval(value, low95, high95, low90, high90, se, "bootstrap")


def two_sided_p(interval: RowInterval) -> float:
    """The p value of a number of 0, by the normal approximation; 1 if nothing varies around 0."""
    if interval.se == 0:
        return float(interval.value == 0)
    return float(2 * ndtr(-abs(interval.value) / interval.se))
