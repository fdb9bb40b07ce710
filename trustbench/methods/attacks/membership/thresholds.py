"""Attacks that decide by a threshold learned on other models."""

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.attacks.membership.shadows import shadows_of


def best_threshold(scores: Array, member: Array) -> float:
    """The t of "member if score >= t" with the best balanced accuracy on scores [n].

    >>> best_threshold(np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, False, False]))
    3.0
    """
    order = np.argsort(-scores, kind="stable")
    ordered, inside = scores[order], member[order]
    gain = np.cumsum(inside) / inside.sum() - np.cumsum(~inside) / (~inside).sum()
    # a threshold takes all rows of a score or none
    last = np.append(ordered[1:] != ordered[:-1], True)
    return float(ordered[last][np.argmax(gain[last])])


def balanced_accuracy(scores: Array, member: Array, threshold: float) -> float:
    """Balanced accuracy of "member if score >= threshold"."""
    called = scores >= threshold
    return float((called[member].mean() + (~called[~member]).mean()) / 2)


def advantage(scores: Array, member: Array) -> Array:
    """Balanced accuracy minus one half, [R]; each threshold comes from the other replicates.

    A threshold is never chosen on the target itself, as Song et al. (2019) do, which gives an upper
    bound. The scores of a complementary partner are not used either; see `shadows_of`.

    Args:
        scores: larger means member, on a scale that replicates share, [R, n].
        member: bool [R, n].

    Reference: Yeom et al. 2018, arXiv 1709.01604, definition 4 (half of their advantage).
    """
    values = []
    for r in range(len(scores)):
        keep = shadows_of(member, r)
        t = best_threshold(scores[keep].ravel(), member[keep].ravel())
        values.append(balanced_accuracy(scores[r], member[r], t) - 0.5)
    return np.array(values)
