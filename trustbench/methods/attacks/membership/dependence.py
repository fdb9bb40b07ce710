"""What the intervals of attacks need whose replicates are each other's shadow models.

The score of a pair of replicates enters the values of both, so the R values of a metric move
together, and a t interval that takes them for independent is too short. `shadowing` measures what
each replicate does to the others, from which the summary estimates by how much; `widened` is for
attacks that cannot be repeated without one shadow cheaply.
"""

from collections.abc import Callable, Mapping

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.attacks.membership.likelihood import SHARED_PAIRS, Scores
from trustbench.methods.attacks.membership.shadows import shadows_of

Metric = Callable[[Scores], Array | None]
"""Scores of all targets -> a value of each, [R]; None where some target has nothing usable."""


def widened(values: Array, factor: float = SHARED_PAIRS) -> Array:
    """Values [R] of the same mean with `factor` times their standard error.

    >>> widened(np.array([0.0, 1.0])).round(4).tolist()
    [-0.2071, 1.2071]
    """
    return np.asarray(values.mean() + factor * (values - values.mean()))


def shadowing(
    attacks: Mapping[str, tuple[Scores, Metric]], member: Array, targets: int | None = None
) -> dict[str, Array | None]:
    """What each replicate adds, as a shadow model, to the values of the others: [R] by metric.

    Replicate j adds to target i what i's value loses when the attack is repeated without j, less
    what it loses without any shadow on average. None where a left-out attack has nothing usable,
    which needs few replicates.

    Args:
        attacks: scores that can be taken `without` a shadow, and the metric of them.
        member: which rows each model was trained on, bool [M, n].
        targets: how many of the models, the first ones, are replicates; all unless given. The
            others move no value of their own, so how the values move together has no part of
            theirs.
    """
    R = len(member) if targets is None else targets
    kept = np.array([shadows_of(member, r) for r in range(R)])
    whole = {name: metric(scores) for name, (scores, metric) in attacks.items()}
    lost: dict[str, Array | None] = {name: np.zeros((R, R)) for name in attacks}
    for j in range(R):  # outermost: an attack without j is made once for all its metrics
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

    `count` [R, 1]: all of the target's shadows.
    """
    own = lost.sum(axis=1, keepdims=True) / np.maximum(kept.sum(axis=1, keepdims=True), 1)
    # leaving one of m shadows out moves a mean over them by m / (m - 1) of its share
    share = np.where(kept, lost - own, 0.0) * (count - 1) / np.maximum(count, 1)
    return np.asarray(share.sum(axis=0))
