"""Set sizes and coverage, and the range of coverage of a correct method."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array
from trustbench.methods.conformal.quantiles import rank


def covered(sets: Tensor, y: Array) -> Array:
    """Whether each set contains its row's label: float64 [R, n] of sets [R, n, C]."""
    index = torch.as_tensor(y, device=sets.device).expand(sets.shape[:2])
    return sets.gather(-1, index[..., None])[..., 0].double().cpu().numpy()


def set_sizes(sets: Tensor) -> Array:
    """Number of labels in each set: float64 [R, n]."""
    return sets.sum(-1).double().cpu().numpy()


class CoverageBand(NamedTuple):
    """The range of coverage of a correct method."""

    low: float
    high: float


@lru_cache(maxsize=8)
def coverage_band(
    n_calibration: int, n_test: int, alpha: float, level: float = 0.95
) -> CoverageBand:
    """The central `level` band of test coverage of a valid method with continuous scores.

    Covered test rows are BetaBinomial(n_test, k, n + 1 - k) with n calibration rows and
    k = rank(n, alpha): the draw of the calibration set and of the test set together.

    Reference: Angelopoulos and Bates 2021, arXiv 2107.07511, section 3.2 and appendix C.

    >>> coverage_band(1000, 1000, 0.1)
    CoverageBand(low=0.873, high=0.925)
    """
    from scipy.stats import betabinom

    k = rank(n_calibration, alpha)
    if k > n_calibration:
        return CoverageBand(1.0, 1.0)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = betabinom.ppf(tails, n_test, k, n_calibration + 1 - k) / n_test
    return CoverageBand(float(low), float(high))


class Variation(NamedTuple):
    """How the test coverage of a correct method varies with its calibration set."""

    sd: float
    breach: float  # P(coverage < 1 - alpha)
    shortfall: float  # E max(0, 1 - alpha - coverage)


def coverage_variation(n_calibration: int, n_test: int, alpha: float) -> Variation:
    """Variation under the Beta-binomial of `coverage_band`; zero if every set is full.

    >>> [round(x, 3) for x in coverage_variation(100, 1000, 0.1)]
    [0.031, 0.446, 0.012]
    """
    from scipy.stats import betabinom

    k = rank(n_calibration, alpha)
    if k > n_calibration:
        return Variation(0.0, 0.0, 0.0)
    count = np.arange(n_test + 1)
    probability = betabinom.pmf(count, n_test, k, n_calibration + 1 - k)
    short = np.maximum(0.0, 1 - alpha - count / n_test)
    # 1e-12: a coverage that equals 1 - alpha in exact arithmetic is not a breach.
    return Variation(
        float(betabinom.std(n_test, k, n_calibration + 1 - k) / n_test),
        float(probability[short > 1e-12].sum()),
        float(probability @ short),
    )
