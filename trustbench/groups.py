"""Means by group, gaps between groups, and what a gap would be if groups meant nothing."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trustbench.contracts import Array


def sizes(group: Array, n_groups: int) -> Array:
    """Rows of each group: int64 [G].

    >>> sizes(np.array([0, 2, 2]), 3).tolist()
    [1, 0, 2]
    """
    return np.asarray(np.bincount(group, minlength=n_groups))


def cells(group: Array, y: Array, n_groups: int, n_classes: int) -> Array:
    """Rows of each group and label: int64 [G, C].

    >>> cells(np.array([0, 1, 1]), np.array([1, 0, 0]), 2, 2).tolist()
    [[0, 1], [2, 0]]
    """
    return sizes(group * n_classes + y, n_groups * n_classes).reshape(n_groups, n_classes)


def means(values: Array, group: Array, n_groups: int) -> Array:
    """Mean of values [..., n] in each group of rows [n]: [..., G]; NaN for an empty group.

    >>> means(np.array([[1.0, 3.0, 5.0]]), np.array([0, 0, 1]), 2).tolist()
    [[2.0, 5.0]]
    """
    member = np.equal.outer(group, np.arange(n_groups)).astype(np.float64)
    count = member.sum(axis=0)
    total = np.asarray(values, dtype=np.float64) @ member
    out = np.full(total.shape, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def gap(by_group: Array) -> Array:
    """Largest less smallest over the last axis: [..., G] -> [...].

    >>> gap(np.array([[0.5, 0.75, 1.0]])).tolist()
    [0.5]
    """
    return np.asarray(by_group.max(axis=-1) - by_group.min(axis=-1))


class Chance(NamedTuple):
    """What a statistic is when groups mean nothing."""

    null: Array  # [R], each replicate's mean over permutations
    common_sd: float  # over permutations, of the mean over replicates


def by_chance(
    statistic: Callable[[Array], Array], n: int, rng: np.random.Generator, permutations: int
) -> Chance:
    """A statistic of R replicates over random reassignments of n rows to groups.

    Replicates share the test rows, so they share each permutation: whether one grouping of these
    rows looks unequal is one draw, whose spread no number of replicates averages out.

    Args:
        statistic: an order of the rows, int64 [n] -> [R].
        n: rows.
        rng: draws the orders; the same for all replicates.
        permutations: how many orders.
    """
    found = np.stack([statistic(rng.permutation(n)) for _ in range(permutations)])
    return Chance(found.mean(0), float(found.mean(1).std(ddof=1)))
