"""Means by group, and gaps between groups."""

import numpy as np

from trustbench.contracts import Array


def sizes(group: Array, n_groups: int) -> Array:
    """The number of rows in each group: int64 [G].

    >>> sizes(np.array([0, 2, 2]), 3).tolist()
    [1, 0, 2]
    """
    return np.asarray(np.bincount(group, minlength=n_groups))


def cells(group: Array, y: Array, n_groups: int, n_classes: int) -> Array:
    """The number of rows of each group and label: int64 [G, C].

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
    """Largest minus smallest value over the last axis: [..., G] -> [...].

    >>> gap(np.array([[0.5, 0.75, 1.0]])).tolist()
    [0.5]
    """
    return np.asarray(by_group.max(axis=-1) - by_group.min(axis=-1))


def means_by(values: Array, groups: Array, n_groups: int) -> Array:
    """Means of values [R, n] under each of K groupings of the rows [K, n]: [K, R, G].

    NaN for an empty group.

    >>> means_by(np.array([[1.0, 3.0, 5.0]]), np.array([[0, 0, 1], [1, 1, 0]]), 2).tolist()
    [[[2.0, 5.0]], [[5.0, 2.0]]]
    """
    K, n = groups.shape
    member = np.equal(groups.T[:, :, None], np.arange(n_groups)).reshape(n, -1).astype(np.float64)
    count = member.sum(axis=0)
    total = np.asarray(values, dtype=np.float64) @ member
    out = np.full(total.shape, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return np.moveaxis(out.reshape(len(total), K, n_groups), 0, 1)


def shares_by_chance(sizes: Array, having: Array, draws: int, rng: np.random.Generator) -> Array:
    """Shares [draws, R, G] of rows with a property, in random groups of these sizes [G].

    Rows are dealt to the groups without replacement, so that the numbers of a replicate follow the
    multivariate hypergeometric distribution. `having` [R] is how many rows have the property. NaN
    for an empty group.

    >>> shares_by_chance(np.array([1, 3]), np.array([4]), 2, np.random.default_rng(0)).tolist()
    [[[1.0, 1.0]], [[1.0, 1.0]]]
    """
    left, others = np.tile(having, (draws, 1)), int(sizes.sum())
    out = np.full((len(sizes), draws, len(having)), np.nan)
    for g, size in enumerate(sizes.tolist()):
        others -= size
        if size:
            dealt = rng.hypergeometric(size, others, left)
            out[g], left = dealt / size, left - dealt
    return np.moveaxis(out, 0, -1)
