"""Numbers into which every pair of replicates enters twice, because each is the other's shadow."""

import math

import numpy as np

from trustbench.contracts import Array


def widened(values: Array) -> Array:
    """Values [R] with the same mean and sqrt(2) times the deviations from it.

    Where replicates are each other's shadow models, what targets r and s say of each other is one
    number that enters the AUC of both. The mean over replicates is a U-statistic of order two:
    it rests on R (R - 1) / 2 pairs, not on R independent values, and the plain t interval is too
    short by sqrt(2). Paired differences of widened values are widened differences, so the t
    interval of those has the right width. It remains too short, by at most sqrt(2) again, where
    replicates differ much in how far they memorise at all; scripts/aa.py measures both.

    Reference: Hoeffding 1948, "A class of statistics with asymptotically normal distribution",
    Eq. 5.13: the variance 2 zeta_2 / (R (R - 1)) of a degenerate U-statistic of order two.

    >>> widened(np.array([0.5, 0.7])).round(3).tolist()
    [0.459, 0.741]
    """
    mean = values.mean()
    return np.asarray(mean + math.sqrt(2.0) * (values - mean))
