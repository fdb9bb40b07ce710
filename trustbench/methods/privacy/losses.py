"""Privacy-loss random variables (PRV; Gopi, Lee & Wutschitz 2021, arXiv 2106.02848).

The tight accountant, built from Opacus' parts. Its answer is the estimate plus its error terms:
`error` in epsilon for the mesh, a thousandth of delta for what lies outside the mesh. If its
arithmetic would not support the claim it gives no answer, and only Rényi DP is used.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from opacus.accountants.analysis.prv import (
    DiscretePRV,
    Domain,
    PoissonSubsampledGaussianPRV,
    TruncatedPrivacyRandomVariable,
    compose_heterogeneous,
)
from scipy.fft import irfft, next_fast_len, rfft
from scipy.special import log_ndtr

from trustbench.contracts.mechanisms import PoissonGaussian
from trustbench.methods.privacy import renyi

# Above these a composition takes seconds and gigabytes, or exp(loss) overflows.
LARGEST_MESH = 1 << 21
LARGEST_LOSS = 300.0
# Below this rate the density of the loss loses too many digits.
SMALLEST_RATE = 1e-6


def epsilon(mechanisms: Sequence[PoissonGaussian], delta: float) -> float | None:
    """An upper bound of epsilon, or None if PRV is impractical or numerically unsound."""
    missing = delta / 1000
    rough = renyi.epsilon(mechanisms, delta, renyi.ORDERS)
    error = min(max(0.001, rough / 50), max(0.01, rough / 2000))
    reach = _reach(mechanisms, missing, error)
    steps = sum(m.steps for m in mechanisms)
    mesh = error / math.sqrt(steps * math.log(12 / missing) / 2) if missing else 0.0
    if min(m.sample_rate for m in mechanisms) < SMALLEST_RATE or reach > LARGEST_LOSS:
        return None
    if 2 * reach > LARGEST_MESH * mesh:
        return None
    return _composed(mechanisms, _domain(reach, mesh), delta - missing, error)


def _domain(reach: float, mesh: float) -> Domain:
    """Points from -reach to reach and beyond; their number suits the fast Fourier transform."""
    size = 2 * math.ceil(reach / mesh) + 2
    while size % 2 or next_fast_len(size, real=True) != size:
        size = next_fast_len(size + 1, real=True)
    half = size // 2 - 1
    return Domain.create_aligned(-half * mesh, half * mesh, mesh)


def _reach(mechanisms: Sequence[PoissonGaussian], missing: float, error: float) -> float:
    """How far the mesh extends to either side; mass below `missing` lies outside (Remark 5.6)."""
    if not missing:
        return math.inf
    steps = sum(m.steps for m in mechanisms)
    single = [PoissonGaussian(m.noise_multiplier, m.sample_rate, 1) for m in mechanisms]
    whole = renyi.epsilon(mechanisms, missing / 4, renyi.ORDERS)
    parts = [renyi.epsilon([one], missing / (8 * steps), renyi.ORDERS) for one in single]
    return max(whole, *parts, error) + 3


def _composed(
    mechanisms: Sequence[PoissonGaussian], domain: Domain, delta: float, error: float
) -> float | None:
    """Epsilon at `delta` of the composition on a mesh, plus `error`."""
    with warnings.catch_warnings():
        # scipy warns about one integral of the loss distribution; Opacus bounds it.
        warnings.filterwarnings("ignore", message="The integral is probably divergent")
        warnings.filterwarnings("ignore", message="The maximum number of subdivisions")
        warnings.filterwarnings("ignore", message="The occurrence of roundoff error")
        # PRV takes log(0) where the loss distribution has no mass; exp undoes it.
        warnings.filterwarnings("ignore", message="divide by zero encountered in log")
        try:
            parts = [_discrete(m, domain) for m in mechanisms]
        except RuntimeError:  # Opacus: the mesh does not contain the mean of one loss
            return None
    every = [_repeated(part, m.steps) for part, m in zip(parts, mechanisms, strict=True)]
    whole = every[0] if len(every) == 1 else compose_heterogeneous(every, [1] * len(every))
    t, p = whole.domain.ts, whole.pmf
    # Rounding in the Fourier transform shows as negative mass.
    if not np.isfinite(p).all() or -p[p < 0].sum() > delta / 2000:
        return None
    above = np.flip(np.flip(p).cumsum())
    scaled = np.flip(np.flip(p * np.exp(-t)).cumsum())
    i = int(np.searchsorted(np.exp(t) * scaled - above, -delta, side="left"))
    if i == 0:
        return 0.0
    return max(0.0, float(np.log((above[i] - delta) / scaled[i]))) + error


def _discrete(mechanism: PoissonGaussian, domain: Domain) -> DiscretePRV:
    """The loss of one step on the mesh, shifted to its mean, as in Opacus' `discretize`.

    Raises:
        RuntimeError: the mesh does not contain the mean.
    """
    loss = _Loss(mechanism.sample_rate, mechanism.noise_multiplier)
    held = _Truncated(loss, float(domain.t_min), float(domain.t_max))
    points = domain.ts
    edges = np.append(points - domain.dt / 2, points[-1] + domain.dt / 2)
    mass = np.diff(held.cdf(edges))
    shift = held.mean() - float(points @ mass)
    if abs(shift) >= domain.dt / 2:
        raise RuntimeError("the mesh does not hold the mean of the loss")
    return DiscretePRV(pmf=mass, domain=domain.shift_right(shift))


def _repeated(one: DiscretePRV, steps: int) -> DiscretePRV:
    """The loss of `steps` equal steps: a power of the Fourier transform, by squaring."""
    power, square, left = None, rfft(one.pmf), steps
    while left:
        if left % 2:
            power = square if power is None else power * square
        left //= 2
        if left:
            square = square * square
    # zero is at the middle of the mesh, and every step wraps around it once
    turn = steps - 1 + (len(one) // 2 if steps % 2 == 0 else 0)
    moved = one.domain.shift_right(one.domain.shifts * (steps - 1))
    return DiscretePRV(pmf=np.roll(irfft(power, len(one)), turn), domain=moved)


class _Loss(PoissonSubsampledGaussianPRV):  # type: ignore[misc]
    """Opacus' loss of one step; evaluated pointwise without numpy, as its integral requires."""

    def cdf(self, t: Any) -> Any:
        """The distribution function at a number or an array."""
        if not isinstance(t, float):
            return super().cdf(t)
        q, sigma = self.sample_rate, self.noise_multiplier
        inside = math.expm1(t) + q
        if inside <= 0:
            return 0.0
        z = math.log(inside / q) * sigma
        member, other = ((z + s / (2 * sigma)) / math.sqrt(2) for s in (-1, 1))
        return 1.0 - q * math.erfc(member) / 2 - (1 - q) * math.erfc(other) / 2


class _Truncated(TruncatedPrivacyRandomVariable):  # type: ignore[misc]
    """The loss on a mesh, truncated outside."""

    def cdf(self, t: Any) -> Any:
        """The distribution function, as in `_Loss`."""
        if not isinstance(t, float):
            return super().cdf(t)
        if not self.t_min <= t < self.t_max:
            return float(t >= self.t_max)
        return (self._prv.cdf(t) - self._prv.cdf(self.t_min)) / self._remaining_mass


def unsampled(mechanisms: Sequence[PoissonGaussian], delta: float) -> float:
    """Epsilon of the same Gaussians on all members: exact at rate 1, an upper bound below.

    The loss is then normal, and Balle & Wang 2018, arXiv 1805.06530, Theorem 8, gives delta.
    """
    mu = math.hypot(*(math.sqrt(m.steps) / m.noise_multiplier for m in mechanisms))
    low, high = 0.0, mu * (mu / 2 + math.sqrt(-2 * math.log(delta)))
    if not math.isfinite(high) or _delta(0.0, mu) <= delta:
        return 0.0 if math.isfinite(high) else math.inf
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _delta(middle, mu) <= delta else (middle, high)
    return high


def _delta(epsilon: float, mu: float) -> float:
    """Delta of a Gaussian whose means are `mu` apart, rounded up."""
    larger = float(np.exp(log_ndtr(mu / 2 - epsilon / mu)))
    smaller = float(np.exp(min(0.0, epsilon + log_ndtr(-mu / 2 - epsilon / mu))))
    return larger * (1 + 1e-13) - smaller
