"""Evaluates many random calibration sets of one size on the other rows, overall and by group."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.conformal.quantiles import rank


@dataclass(frozen=True)
class ScoredRows:
    """One replicate's scores of all labels [N, C], with y [N] and group [N]."""

    labels: Array
    y: Array
    group: Array

    @cached_property
    def true(self) -> Array:
        """Scores of the true labels, [N]."""
        return np.asarray(self.labels[np.arange(len(self.y)), self.y])

    @cached_property
    def ordered(self) -> dict[int, tuple[Array, Array]]:
        """For each group: its true scores and the scores of all its labels, both ascending."""
        return {
            int(g): (np.sort(self.true[m]), np.sort(self.labels[m], axis=None))
            for g in np.unique(self.group)
            for m in [self.group == g]
        }


class Redraw(NamedTuple):
    """The calibration rows of each draw, and what follows from the groups alone."""

    rows: Array  # int64 [draws, n]
    group: Array  # of those rows, [draws, n]
    groups: Array  # the groups that occur, [G]
    left: Array  # rows of each group outside the draw, [draws, G]
    compared: Array  # bool [draws, G]: enough rows remain to estimate a coverage

    @property
    def comparable(self) -> bool:
        """Whether every draw leaves two groups to compare."""
        return bool((self.compared.sum(axis=1) >= 2).all())


def redraw(rows: Array, group: Array, min_group: int) -> Redraw:
    """Rows [draws, n] of all rows with `group` [N]."""
    groups = np.unique(group)
    all_rows = (group[:, None] == groups).sum(axis=0)
    left = all_rows - (group[rows][..., None] == groups).sum(axis=1)
    return Redraw(rows, group[rows], groups, left, left >= min_group)


class DrawResult(NamedTuple):
    """Results of each draw [draws], on the rows outside it."""

    coverage: Array
    size: Array
    coverage_gap: Array  # valid only if the draws are comparable


class DrawResults(NamedTuple):
    """Results with one threshold for all rows, and with one for each group."""

    marginal: DrawResult
    mondrian: DrawResult


def evaluate(own: ScoredRows, chosen: Redraw, alpha: float) -> DrawResults:
    """Evaluates split conformal prediction for every draw, on that draw's other rows."""
    true = own.true[chosen.rows]
    one = _threshold(np.sort(true, axis=1), np.full(len(true), true.shape[1]), alpha)
    each = np.empty(chosen.left.shape)
    for g, label in enumerate(chosen.groups):
        member = chosen.group == label
        # Rows of other groups sort after all rows of this group.
        ascending = np.sort(np.where(member, true, np.inf), axis=1)
        each[:, g] = _threshold(ascending, member.sum(axis=1), alpha)
    return DrawResults(
        _outcome(own, chosen, np.broadcast_to(one[:, None], each.shape)),
        _outcome(own, chosen, each),
    )


def _threshold(ascending: Array, count: Array, alpha: float) -> Array:
    """The k-th of the first `count` [draws] scores [draws, n]; infinite if k > count."""
    k = np.array([rank(int(n), alpha) for n in count])
    column = np.minimum(k, ascending.shape[1]) - 1
    value = np.take_along_axis(ascending, column[:, None], axis=1)[:, 0]
    return np.where(k > count, np.inf, value)


def _outcome(own: ScoredRows, chosen: Redraw, threshold: Array) -> DrawResult:
    """Evaluates thresholds [draws, G]: counts over all rows minus those over the drawn ones."""
    covered, labels = np.empty(threshold.shape), np.empty(threshold.shape)
    true, scores = own.true[chosen.rows], own.labels[chosen.rows]
    for g, label in enumerate(chosen.groups):
        q, (all_true, all_labels) = threshold[:, g], own.ordered[int(label)]
        member = chosen.group == label
        drawn = ((true <= q[:, None]) & member).sum(axis=1)
        covered[:, g] = np.searchsorted(all_true, q, side="right") - drawn
        drawn = ((scores <= q[:, None, None]).sum(axis=2) * member).sum(axis=1)
        labels[:, g] = np.searchsorted(all_labels, q, side="right") - drawn
    total = chosen.left.sum(axis=1)
    rate = covered / np.maximum(chosen.left, 1)
    highest = np.where(chosen.compared, rate, -np.inf).max(axis=1)
    lowest = np.where(chosen.compared, rate, np.inf).min(axis=1)
    return DrawResult(covered.sum(axis=1) / total, labels.sum(axis=1) / total, highest - lowest)
