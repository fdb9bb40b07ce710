"""Values whose t interval is right where replicates enter each other's numbers."""

import numpy as np

from trustbench.contracts import Array


def pseudo_values(whole: Array, left_out: Array) -> Array:
    """Jackknife values [R] whose mean is that of `whole`.

    Where every replicate is a shadow model of the others, its AUC also depends on theirs: the
    mean over replicates is a U-statistic, and the t interval of its R terms is too short by a
    factor of up to two. The t interval of these values is not: paired differences of
    pseudo-values are pseudo-values of the difference. A single value is no AUC and may lie
    outside of [0, 1]. Errs on the safe side, by at most sqrt(2), where no replicate alone
    matters (models that leak nothing).

    Args:
        whole: the statistic of each replicate, [R].
        left_out: the mean statistic of the other replicates when replicate r is left out
            altogether, as a target and as a shadow, [R].

    Reference: Arvesen 1969, "Jackknifing U-statistics", Ann. Math. Statist. 40(6), section 3;
    Efron and Stein 1981 (its variance is never too small on average).

    >>> x = np.array([1.0, 2.0, 6.0])  # a plain mean has its own terms as pseudo-values
    >>> pseudo_values(x, np.array([4.0, 3.5, 1.5])).round(12).tolist()
    [1.0, 2.0, 6.0]
    """
    return np.asarray(whole.mean() + (len(whole) - 1) * (left_out.mean() - left_out))
