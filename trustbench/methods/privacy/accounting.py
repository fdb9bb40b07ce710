"""The privacy spent by Poisson-sampled Gaussians: one function to calibrate, check and report.

Returns the smallest valid upper bound: PRV (tight, but not computable everywhere) or Rényi DP
(always). The GDP accountant under-reports and is never used.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from trustbench.contracts.mechanisms import PoissonGaussian
from trustbench.errors import ConfigError
from trustbench.methods.privacy import renyi

__all__ = [
    "EpsilonBound",
    "PoissonGaussian",
    "default_delta",
    "noise_for",
    "rdp",
    "spent",
]

# Noise beyond this multiple of the bound swallows every gradient in single precision.
LARGEST_SIGMA = float(2**24)
# Below this a step spends an epsilon above 10^11, and its square soon exceeds the range of floats.
SMALLEST_SIGMA = 1e-6
# Below this the mesh of PRV adds more than 2 %, and a normal loss needs no mesh.
SMALL_EPSILON = 0.5
# A calibrated sigma spends between 99 and 100 % of the target.
TOLERANCE = 0.01


class EpsilonBound(NamedTuple):
    """An upper bound of epsilon, and the accountant behind it."""

    epsilon: float
    accountant: Literal["prv", "rdp"]


def default_delta(members: int) -> float:
    """The default delta, n^-1.1: below 1/n, as in Opacus' and Esipova's scripts."""
    return float(members**-1.1)


def spent(mechanisms: PoissonGaussian | Sequence[PoissonGaussian], delta: float) -> EpsilonBound:
    """The smallest valid epsilon of all `mechanisms` together, at `delta`.

    Raises:
        ConfigError: a noise multiplier is below 1e-6.
    """
    return _spent(_together(mechanisms), delta)


def rdp(mechanisms: PoissonGaussian | Sequence[PoissonGaussian], delta: float) -> float:
    """The epsilon of all `mechanisms` by Rényi DP alone."""
    return renyi.epsilon(_together(mechanisms), delta)


def _together(
    mechanisms: PoissonGaussian | Sequence[PoissonGaussian],
) -> tuple[PoissonGaussian, ...]:
    """Merges equal mechanisms into one with all their steps, independently of their order."""
    steps: dict[tuple[float, float], int] = {}
    for m in [mechanisms] if isinstance(mechanisms, PoissonGaussian) else mechanisms:
        key = m.noise_multiplier, m.sample_rate
        steps[key] = steps.get(key, 0) + m.steps
    return tuple(PoissonGaussian(*key, steps[key]) for key in sorted(steps))


@lru_cache(maxsize=512)
def _spent(mechanisms: tuple[PoissonGaussian, ...], delta: float) -> EpsilonBound:
    if not mechanisms:
        return EpsilonBound(0.0, "rdp")
    least = min(m.noise_multiplier for m in mechanisms)
    if least < SMALLEST_SIGMA:
        raise ConfigError(
            f"noise_multiplier={least:g} leaves no privacy to account for: one step would spend "
            f"an epsilon beyond 10^11; give at least {SMALLEST_SIGMA:g}."
        )
    # A finished sweep accounts for nothing and need not import Opacus.
    from trustbench.methods.privacy import losses

    bounds = [EpsilonBound(renyi.epsilon(mechanisms, delta), "rdp")]
    tight = losses.epsilon(mechanisms, delta)
    if tight is not None:
        bounds.append(EpsilonBound(tight, "prv"))
    normal = losses.unsampled(mechanisms, delta)
    if tight is None or normal < SMALL_EPSILON:
        bounds.append(EpsilonBound(normal, "prv"))
    return min(bounds)


@lru_cache(maxsize=128)
def noise_for(target: float, rate: float, steps: int, delta: float) -> float:
    """Returns a noise multiplier that spends 99 to 100 % of `target`, by `spent`.

    It spends less than 99 % only if `spent` jumps, or if a multiplier of 0.01 meets the target.

    Raises:
        ConfigError: the noise needed would swallow every gradient.
    """
    low, high = 1e-2, 1.0
    while _rough(high, rate, steps, delta) > target:
        low, high = high, high * 2
        if high > LARGEST_SIGMA:
            raise ConfigError(
                f"epsilon={target} cannot be reached with delta={delta:g} in {steps} steps at "
                f"sample rate {rate:.3g}: the noise would exceed {LARGEST_SIGMA:.0f} times the "
                "bound of a gradient, which single precision cannot hold beside it; allow a "
                "larger epsilon, or fewer epochs."
            )
    high = _bisect(lambda sigma: _rough(sigma, rate, steps, delta), target, low, high)

    def spend(sigma: float) -> float:
        return spent(PoissonGaussian(sigma, rate, steps), delta).epsilon

    while True:
        low = 0.5 * high
        high = _bisect(spend, target, low, high)
        if high > 1.01 * low or high <= 1e-2:
            return high


def _rough(sigma: float, rate: float, steps: int, delta: float) -> float:
    """A quick upper bound of `spent`: its parts that need no mesh. Never reported.

    It tries whole orders first, whose sums are short. If the largest is the best, other orders, or
    none, may serve better.
    """
    from opacus.accountants.analysis.rdp import compute_rdp

    from trustbench.methods.privacy import losses

    orders = list(range(2, 64))
    divergences = compute_rdp(q=rate, noise_multiplier=sigma, steps=steps, orders=orders)
    value, best = renyi.converted(divergences, orders, delta)
    if best < orders[-1]:
        return value
    mechanism = (PoissonGaussian(sigma, rate, steps),)
    return min(value, renyi.epsilon(mechanism, delta), losses.unsampled(mechanism, delta))


def _bisect(spend: Callable[[float], float], target: float, low: float, high: float) -> float:
    """The smallest sigma in (low, high] that spends at most `target`; `high` does.

    Epsilon is close to a power of sigma between the ends, so a line through their logarithms finds
    the answer in a few costly evaluations; bisection is the safeguard.
    """
    aim, slope = (1 - TOLERANCE / 2) * target, -1.0
    spent = spend(high)
    while spent < (1 - TOLERANCE) * target and high - low > 1e-4 * high:
        middle = high * (aim / spent) ** (1 / slope) if spent else low
        if not low < middle < high:
            middle = (low + high) / 2
        value = spend(middle)
        if value and spent:
            slope = min(-0.1, math.log(value / spent) / math.log(middle / high))
        if value <= target:
            high, spent = middle, value
        else:
            low = middle
    return high
