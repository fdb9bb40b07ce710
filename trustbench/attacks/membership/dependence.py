"""Intervals for attacks whose replicates are each other's shadow models.

The score of a pair of replicates enters the values of both, so the R values of a metric move
together and a t interval that takes them for independent is too short: the mean over targets is a
U-statistic of order two.
"""

import math

import numpy as np

from trustbench.contracts import Array

# Where nothing is memorised the U-statistic is degenerate, and the variance of its mean is exactly
# twice what independent values would have; where much is, up to about 2.8 times was simulated.
# The jackknife errs on the other side: four times, always (scripts/shadow_coverage.py).
SHARED_PAIRS = math.sqrt(2)


def widened(values: Array) -> Array:
    """Values [R] of the same mean whose standard error is that of a mean over shared pairs.

    Reference: Hoeffding 1948, Annals of Mathematical Statistics 19(3), section 5.

    >>> widened(np.array([0.0, 1.0])).round(4).tolist()
    [-0.2071, 1.2071]
    """
    return np.asarray(values.mean() + SHARED_PAIRS * (values - values.mean()))
