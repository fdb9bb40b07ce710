"""The composition of several mechanisms on the same rows.

Gaussian releases compose exactly; pure ones by basic or advanced composition, whichever is better;
different kinds by basic composition.

Reference: Balle and Wang 2018, arXiv 1805.06530, theorem 8 (one Gaussian release); Dong et al.
2019, arXiv 1905.02383, corollary 3.3 (several); Dwork and Roth 2014, The Algorithmic Foundations
of Differential Privacy, theorems 3.16 and 3.20 (pure ones).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from scipy.special import log_ndtr, ndtr

from trustbench.contracts.mechanisms import Gaussian, Mechanism, PoissonGaussian, Pure
from trustbench.methods.privacy import accounting


class Spent(NamedTuple):
    """(epsilon, delta)-differential privacy, and how it was computed."""

    epsilon: float
    delta: float
    accountant: str


def spent(mechanisms: Sequence[Mechanism], delta: float) -> Spent:
    """Composes all mechanisms at `delta` (pure ones alone may need no delta).

    Raises:
        ConfigError: no accountant bounds them at this delta.
    """
    sampled = [m for m in mechanisms if isinstance(m, PoissonGaussian)]
    gaussian = [m for m in mechanisms if isinstance(m, Gaussian)]
    pure = [m for m in mechanisms if isinstance(m, Pure)]
    share = delta / 2 if sampled and gaussian else delta
    parts = []
    if sampled:
        parts.append(_sampled(sampled, share))
    if gaussian:
        parts.append(Spent(gaussian_epsilon(separation(gaussian), share), share, "exact Gaussian"))
    if pure:
        parts.append(_pure(pure, 0.0 if parts else delta))
    names = " + ".join(p.accountant for p in parts)
    return Spent(sum(p.epsilon for p in parts), sum(p.delta for p in parts), names)


def _sampled(mechanisms: Sequence[PoissonGaussian], delta: float) -> Spent:
    bound = accounting.spent(mechanisms, delta)
    return Spent(bound.epsilon, delta, bound.accountant)


def separation(releases: Sequence[Gaussian]) -> float:
    """The number of standard deviations by which one row moves all of the releases together.

    >>> separation([Gaussian(2.0, releases=16)])
    2.0
    """
    return math.sqrt(sum(m.releases / m.noise_multiplier**2 for m in releases))


def _pure(mechanisms: Sequence[Pure], delta: float) -> Spent:
    total = sum(m.releases * m.epsilon for m in mechanisms)
    if delta > 0 and len({m.epsilon for m in mechanisms}) == 1:
        advanced = _advanced(mechanisms[0].epsilon, sum(m.releases for m in mechanisms), delta)
        if advanced < total:
            return Spent(advanced, delta, "advanced composition")
    return Spent(total, 0.0, "basic composition")


def _advanced(epsilon: float, releases: int, delta: float) -> float:
    """Dwork and Roth's theorem 3.20; infinite if far worse than basic composition."""
    if epsilon > 700:  # expm1 overflows
        return math.inf
    root = math.sqrt(2 * releases * math.log(1 / delta)) * epsilon
    return root + releases * epsilon * math.expm1(epsilon)


def gaussian_delta(epsilon: float, apart: float) -> float:
    """The smallest delta of a Gaussian mechanism whose means are `apart` deviations apart."""
    half, tilt = apart / 2, epsilon / apart
    return float(ndtr(half - tilt) - math.exp(epsilon + log_ndtr(-half - tilt)))


def gaussian_epsilon(apart: float, delta: float) -> float:
    """The smallest epsilon at which that mechanism has at most this delta."""
    return _bisect(lambda e: gaussian_delta(e, apart) <= delta, 0.0, 1.0)


def largest_separation(epsilon: float, delta: float) -> float:
    """How far apart, in deviations, the means may be under (epsilon, delta)."""
    return _bisect(lambda mu: gaussian_delta(epsilon, mu) > delta, 1e-12, 1.0)


def _bisect(beyond: Callable[[float], bool], low: float, high: float) -> float:
    """Finds where `beyond` turns true, for a condition that stays true above that point."""
    while not beyond(high):
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high
