"""The privacy of Poisson-sampled DP-SGD, by Opacus' accountants.

PRV (Gopi et al. 2021) is tight and is what we report; RDP (Mironov 2017) is an upper bound
that stands beside it, and stands alone above epsilon 20, where PRV takes minutes and gigabytes.
The GDP accountant under-reports and is never used.
"""

import math
import warnings
from collections.abc import Callable
from functools import lru_cache

from opacus.accountants import PRVAccountant, RDPAccountant
from opacus.accountants.analysis.rdp import compute_rdp, get_privacy_spent

from trustbench.errors import ConfigError

PRV_LIMIT = 20.0
LARGEST_SIGMA = 1e4
# A calibrated sigma spends between 99 and 100 % of the target.
TOLERANCE = 0.01


def default_delta(members: int) -> float:
    """The default delta, n^-1.1: below 1/n, as Opacus' and Esipova's scripts have it."""
    return float(members**-1.1)


@lru_cache(maxsize=512)
def epsilon(accountant: str, sigma: float, rate: float, steps: int, delta: float) -> float:
    """The epsilon of `steps` Poisson-sampled Gaussian steps, by "prv" or "rdp"."""
    kinds = {"prv": PRVAccountant, "rdp": RDPAccountant}
    made = kinds[accountant]()
    made.history = [(sigma, rate, steps)]
    with warnings.catch_warnings():
        # RDP says when its optimal order is the last of its list; the bound stays valid.
        warnings.filterwarnings("ignore", message="Optimal order is the")
        # scipy warns about one integral of PRV's privacy-loss distribution; Opacus bounds it.
        warnings.filterwarnings("ignore", message="The integral is probably divergent")
        # PRV takes log(0) where the loss distribution has no mass; exp undoes it.
        warnings.filterwarnings("ignore", message="divide by zero encountered in log")
        return float(made.get_epsilon(delta=delta))


def best_epsilon(sigma: float, rate: float, steps: int, delta: float) -> tuple[float, str]:
    """(epsilon, accountant): PRV where it is practical, RDP above epsilon 20."""
    bound = epsilon("rdp", sigma, rate, steps, delta)
    if bound > PRV_LIMIT:
        return bound, "rdp"
    return epsilon("prv", sigma, rate, steps, delta), "prv"


@lru_cache(maxsize=128)
def noise_for(target: float, rate: float, steps: int, delta: float) -> float:
    """The smallest noise multiplier that spends at most `target`.

    Raises:
        ConfigError: when no noise multiplier up to 10,000 reaches the target.
    """
    low, high = 1e-2, 1.0
    while _rough(high, rate, steps, delta) > target:
        low, high = high, high * 2
        if high > LARGEST_SIGMA:
            raise ConfigError(
                f"epsilon={target} cannot be reached with delta={delta:g} in {steps} steps at "
                f"sample rate {rate:.3g}; allow a larger epsilon, or fewer epochs."
            )
    high = _bisect(lambda sigma: _rough(sigma, rate, steps, delta), target, low, high)
    accountant = "rdp" if target > PRV_LIMIT else "prv"
    return _bisect(
        lambda sigma: epsilon(accountant, sigma, rate, steps, delta), target, 0.5 * high, high
    )


def _rough(sigma: float, rate: float, steps: int, delta: float) -> float:
    """A quick upper bound: RDP at whole orders, whose sums are short. Never reported."""
    orders = list(range(2, 64))
    spent = compute_rdp(q=rate, noise_multiplier=sigma, steps=steps, orders=orders)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the")
        return float(get_privacy_spent(orders=orders, rdp=spent, delta=delta)[0])


def _bisect(spend: Callable[[float], float], target: float, low: float, high: float) -> float:
    """The smallest sigma in (low, high] that spends at most `target`; `high` does.

    Epsilon is close to a power of sigma between the ends, so a line through their logarithms
    finds the answer in a few costly evaluations; halving is the safeguard.
    """
    aim, slope = (1 - TOLERANCE / 2) * target, -1.0
    spent = spend(high)
    while spent < (1 - TOLERANCE) * target and high - low > 1e-4 * high:
        middle = high * (aim / spent) ** (1 / slope)
        if not low < middle < high:
            middle = (low + high) / 2
        value = spend(middle)
        slope = min(-0.1, math.log(value / spent) / math.log(middle / high))
        if value <= target:
            high, spent = middle, value
        else:
            low = middle
    return high
