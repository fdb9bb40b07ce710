"""AUCs within groups, for many groupings of the same rows at once."""

from collections.abc import Callable

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.attacks.membership.dependence import Statistic
from trustbench.methods.attacks.membership.likelihood import Scores
from trustbench.methods.attacks.membership.metrics import within


def over_groups(
    scores: Scores, *, statistic: Statistic, masks: list[Array], spread: Callable[..., Array]
) -> Array | None:
    """The spread over groups (rows of bool [n]) of a statistic within each, [R]."""
    values = [statistic(within(scores, rows)) for rows in masks]
    found = [v for v in values if v is not None]
    return spread(np.stack(found), axis=0) if len(found) == len(masks) else None


def group_aucs(scores: Scores, member: Array, groups: Array, n_groups: int) -> Array:
    """The AUC of each replicate within each group, [K, R, G]; NaN where a side has no rows.

    Args:
        scores: scores of R targets on n rows.
        member: bool [R, n].
        groups: K groupings of the rows, int64 [K, n]; rows in group `n_groups` are ignored.
        n_groups: the number of groups.
    """
    out = np.empty((len(groups), len(member), n_groups))
    for r, usable in enumerate(scores.usable):
        order = np.flatnonzero(usable)[np.argsort(scores.values[r, usable], kind="stable")]
        values, inside = scores.values[r, order], member[r, order]
        level = np.cumsum(np.diff(values, prepend=values[:1]) != 0)
        for k, grouping in enumerate(groups[:, order]):
            out[k, r] = _aucs(level, inside, grouping, n_groups)
    return out


def _aucs(level: Array, inside: Array, group: Array, n_groups: int) -> Array:
    """The AUC of each group [G], from rows in ascending order of score; ties share a `level`.

    The rank of a member is its position among the rows of its group; ties share their mean rank.
    """
    by_group = np.argsort(group, kind="stable")
    of, level, inside = group[by_group], level[by_group], inside[by_group]
    fresh = np.ones(len(of), dtype=bool)
    fresh[1:] = (of[1:] != of[:-1]) | (level[1:] != level[:-1])
    start = np.flatnonzero(fresh)
    count = np.diff(start, append=len(of))
    place = (start + (count - 1) / 2)[np.cumsum(fresh) - 1]
    size = np.bincount(of, minlength=n_groups + 1)
    rank = place - np.repeat(np.cumsum(size) - size, size) + 1
    ranks = np.bincount(of, weights=rank * inside, minlength=n_groups + 1)[:n_groups]
    members = np.bincount(of, weights=inside, minlength=n_groups + 1)[:n_groups]
    pairs = members * (size[:n_groups] - members)
    above = ranks - members * (members + 1) / 2
    out = np.full(n_groups, np.nan)
    np.divide(above, pairs, out=out, where=pairs > 0)
    return out
