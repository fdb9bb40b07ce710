"""Thresholds by group that give every group sets of the same mean size."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from trustbench.methods.conformal.quantiles import thresholds
from trustbench.methods.conformal.split import CalibrationScores


class EqualSize(NamedTuple):
    """Thresholds [R, G], and which groups [R, G] use the size curve of all rows."""

    threshold: Tensor
    pooled: Tensor


def first_part(n: int, fraction: float) -> int:
    """How many of n rows give the size curves; the others give the threshold.

    >>> first_part(125, 0.5)
    62
    """
    return max(1, int(n * fraction))


def equal_size(
    own: CalibrationScores, groups: int, alpha: float, fraction: float, min_rows: int
) -> EqualSize:
    """The smallest common set size that covers 1 - alpha overall, as thresholds by group.

    The first `fraction` of each replicate's rows gives the size curve of each group: the mean
    number of labels that score at most s. The curve maps a score of the remaining rows to the
    common set size at which the row's label enters its set; split conformal on these sizes gives
    the threshold. The labels of the first rows are not used.

    Marginal coverage is exactly at least 1 - alpha, because the curves and the threshold come from
    different rows. The coverage of single groups is not guaranteed. Sizes are equal on the first
    rows up to 1 over a group's rows, and on new rows up to sampling error.

    Args:
        own: calibration scores.
        groups: G.
        alpha: miscoverage of all rows together.
        fraction: share of the rows that gives the curves.
        min_rows: a group with fewer of them gets the curve of all rows.
    """
    R, n, _ = own.labels.shape
    first = first_part(n, fraction)
    threshold = own.labels.new_full((R, groups), torch.inf)
    pooled = torch.zeros(R, groups, dtype=torch.bool)
    for r in range(R):
        curves = []
        for g in range(groups):
            mine = own.labels[r, :first][own.group[r, :first] == g]
            pooled[r, g] = len(mine) < min_rows
            curves.append(SizeCurve(own.labels[r, :first] if pooled[r, g] else mine))
        sizes = own.true.new_empty(n - first)
        for g, curve in enumerate(curves):
            member = own.group[r, first:] == g
            sizes[member] = curve.size(own.true[r, first:][member])
        common = float(thresholds(sizes[None], alpha))
        for g, curve in enumerate(curves):
            threshold[r, g] = curve.largest(common)
    return EqualSize(threshold, pooled)


class SizeCurve:
    """Mean set size as a function of the threshold, from scores [m, C] of some rows."""

    def __init__(self, labels: Tensor) -> None:
        self.rows = len(labels)
        self.ordered = labels.flatten().sort().values

    def size(self, score: Tensor) -> Tensor:
        """Mean number of labels that score at most `score` [n]: [n]."""
        return torch.searchsorted(self.ordered, score, right=True).double() / self.rows

    def largest(self, size: float) -> float:
        """The largest threshold with a mean set size of at most `size`; may be infinite."""
        if math.isinf(size):
            return math.inf
        # 1e-9: a size that is a whole number of labels must not round down.
        inside = math.floor(size * self.rows + 1e-9)
        if inside >= len(self.ordered):
            return math.inf
        # Scores below the next label's, which would make the sets larger.
        return math.nextafter(float(self.ordered[inside]), -math.inf)
