"""What intervals need when the replicates of an attack are each other's shadow models.

The score of a pair of replicates enters the values of both, so the R values of a metric are
dependent, and a t interval that assumes independence is too short. `shadowing` measures the effect
of each replicate on the others, from which the summary estimates the correction. `widened` is for
attacks that are expensive to repeat without one shadow.
"""

from collections.abc import Callable, Mapping

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.attacks.membership.likelihood import SHARED_PAIRS, Scores
from trustbench.methods.attacks.membership.shadows import shadows_of

Statistic = Callable[[Scores], Array | None]
"""Maps the scores of all targets to a value of each, [R]; None if a target has nothing usable."""


def widened(values: Array, factor: float = SHARED_PAIRS) -> Array:
    """Returns values [R] with the same mean and `factor` times the standard error.

    >>> widened(np.array([0.0, 1.0])).round(4).tolist()
    [-0.2071, 1.2071]
    """
    return np.asarray(values.mean() + factor * (values - values.mean()))


def shadowing(
    attacks: Mapping[str, tuple[Scores, Statistic]], member: Array, targets: int | None = None
) -> dict[str, Array | None]:
    """What each replicate, as a shadow model, adds to the values of the others: [R] by metric.

    Replicate j adds to target i what i's value loses when the attack is repeated without j, minus
    the average loss over all its shadows. None if an attack without one shadow has nothing usable,
    which requires few replicates.

    Args:
        attacks: scores that can be recomputed `without` a shadow, and their metric.
        member: which rows each model was trained on, bool [M, n].
        targets: the number of models, from the first, that are replicates; default: all. The
            others contribute to no value of their own, so they add no dependence.
    """
    R = len(member) if targets is None else targets
    kept = np.array([shadows_of(member, r) for r in range(R)])
    whole = {name: metric(scores) for name, (scores, metric) in attacks.items()}
    lost: dict[str, Array | None] = {name: np.zeros((R, R)) for name in attacks}
    for j in range(R):  # outermost loop: an attack without j is computed once for all its metrics
        for name, (scores, metric) in attacks.items():
            assert scores.without is not None
            matrix, full = lost[name], whole[name]
            left = metric(scores.without(j)) if matrix is not None else None
            if matrix is None or left is None or full is None:
                lost[name] = None
                continue
            matrix[:, j] = np.where(kept[:, j], full - left, 0.0)
    count = kept.sum(axis=1, keepdims=True)
    return {n: None if m is None else _of_shadows(m, kept[:, :R], count) for n, m in lost.items()}


def _of_shadows(lost: Array, kept: Array, count: Array) -> Array:
    """Sums over targets of lost[i, j], centred over the replicates j that target i keeps.

    `count` [R, 1] is the number of all shadows of a target.
    """
    own = lost.sum(axis=1, keepdims=True) / np.maximum(kept.sum(axis=1, keepdims=True), 1)
    # leaving out one of m shadows changes a mean over them by m / (m - 1) of its share
    share = np.where(kept, lost - own, 0.0) * (count - 1) / np.maximum(count, 1)
    return np.asarray(share.sum(axis=0))
