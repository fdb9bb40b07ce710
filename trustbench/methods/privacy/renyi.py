"""Rényi differential privacy of Poisson-sampled Gaussians: a bound that always exists.

Mironov, Talwar & Zhang 2019, arXiv 1908.10530, section 3.3, at the orders of Opacus, against which
the tests compare. Larger orders are added if a small epsilon needs them.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.special import gammaln, gammasgn, log_ndtr, logsumexp

from trustbench.contracts.arrays import Array
from trustbench.contracts.mechanisms import PoissonGaussian

ORDERS = (*(1 + x / 10 for x in range(1, 100)), *(float(a) for a in range(12, 64)))
LARGE_ORDERS = tuple(float(round(2 ** (k / 4))) for k in range(24, 65))
# The series of a fractional order ends where its terms fall below exp(-30), as in Opacus; orders
# that take more terms than this are skipped.
TERMS = 1 << 15


def epsilon(
    mechanisms: Sequence[PoissonGaussian], delta: float, orders: tuple[float, ...] | None = None
) -> float:
    """The smallest epsilon over `orders`; None: Opacus' orders, and larger ones if they help.

    Never below 0; inf if the Rényi divergence overflows.
    """
    value, best = converted(_composed(mechanisms, orders or ORDERS), orders or ORDERS, delta)
    if orders is None and best == ORDERS[-1]:
        value = min(value, epsilon(mechanisms, delta, LARGE_ORDERS))
    return value


def _composed(mechanisms: Sequence[PoissonGaussian], orders: tuple[float, ...]) -> Array:
    each = [m.steps * divergences(m.noise_multiplier, m.sample_rate, orders) for m in mechanisms]
    composed: Array = np.sum(each, axis=0)
    return composed


def converted(composed: Array, orders: Sequence[float], delta: float) -> tuple[float, float]:
    """(epsilon, its order), by Canonne, Kamath & Steinke 2020, arXiv 2004.00010, Prop. 12."""
    a = np.array(orders)
    bounds = composed - (np.log(delta) + np.log(a)) / (a - 1) + np.log((a - 1) / a)
    best = int(bounds.argmin())
    return max(0.0, float(bounds[best])), orders[best]


@lru_cache(maxsize=256)
def divergences(sigma: float, rate: float, orders: tuple[float, ...]) -> Array:
    """The Rényi divergence of one step at every order; inf if it cannot be computed."""
    if rate == 1:
        return np.array(orders) / (2 * sigma**2)
    logs = [_whole(a, sigma, rate) if a.is_integer() else math.nan for a in orders]
    found = np.array(logs)
    broken = np.isnan(found)
    if broken.any():
        found[broken] = _fractional(np.array(orders)[broken], sigma, rate)
    rates: Array = np.maximum(0.0, found / (np.array(orders) - 1))
    return rates


def _whole(order: float, sigma: float, rate: float) -> float:
    """Log A of a whole order, a binomial sum."""
    i = np.arange(order + 1)
    ways = gammaln(order + 1) - gammaln(i + 1) - gammaln(order - i + 1)
    sampled = i * math.log(rate) + (order - i) * math.log1p(-rate)
    return float(logsumexp(ways + sampled + i * (i - 1) / (2 * sigma**2)))


def _fractional(orders: Array, sigma: float, rate: float) -> Array:
    """Log A of fractional orders, an alternating series; inf if it does not converge."""
    z = sigma**2 * math.log(1 / rate - 1) + 0.5
    a, blocks, size = orders[:, None], [], 64
    signs, start = [], 0
    open_ = np.ones(len(orders), dtype=bool)
    while open_.any() and start < TERMS:
        i = np.arange(start, start + size, dtype=float)[None]
        j = a - i
        ways = gammaln(a + 1) - gammaln(i + 1) - gammaln(j + 1)
        low = ways + i * math.log(rate) + j * math.log1p(-rate)
        low += i * (i - 1) / (2 * sigma**2) + log_ndtr((z - i) / sigma)
        high = ways + j * math.log(rate) + i * math.log1p(-rate)
        high += j * (j - 1) / (2 * sigma**2) + log_ndtr((j - z) / sigma)
        blocks += [low, high]
        signs += [gammasgn(j + 1)] * 2
        open_ &= np.maximum(low, high).min(1) >= -30
        start, size = start + size, start + size
    with np.errstate(invalid="ignore"):
        total = logsumexp(np.hstack(blocks), b=np.hstack(signs), axis=1)
    return np.where(open_ | ~np.isfinite(total), np.inf, total)
