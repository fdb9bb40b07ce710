"""Epochs in which every cell of group and label has the same number of rows."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from trustbench.contracts import Array, Intervention, Problem, Read
from trustbench.contracts.aspects import Aspect


@dataclass(frozen=True)
class Resampling(Intervention):
    """Random oversampling or undersampling of the rows that an epoch visits.

    `oversample` keeps every row and repeats random rows of each smaller cell until it is as large
    as the largest. `undersample` takes as many random rows of each cell as the smallest has. Both
    draw anew each epoch, so undersampling eventually sees every row. An epoch is longer or shorter
    than the baseline's, and so is the number of its updates. `by` chooses the cells. A cell without
    a row in the replicate's half stays empty.

    Reference: Idrissi et al. 2022, arXiv 2110.14503 (subsampling of group and label cells);
    Kamiran and Calders 2012, doi 10.1007/s10115-011-0463-8 (uniform sampling).
    """

    mode: Literal["oversample", "undersample"] = "oversample"
    by: Literal["group_label", "group", "label"] = "group_label"

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = (Read("members", "the size of each group and label", into="training"),)
    reference: ClassVar[str] = "Idrissi et al. 2022, arXiv 2110.14503; Kamiran and Calders 2012"
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "train"

    def resample(self, problem: Problem, members: Array, rng: np.random.Generator) -> Array:
        """Returns pool rows, the same number for each cell that occurs among `members` [m]."""
        cell = self._cell(problem)[members]
        found, count = np.unique(cell, return_counts=True)
        rows = [members[cell == c] for c in found]
        if self.mode == "undersample":
            return np.concatenate([rng.choice(r, count.min(), replace=False) for r in rows])
        extra = [rng.choice(r, count.max() - len(r)) for r in rows]
        return np.concatenate([*rows, *extra])

    def _cell(self, problem: Problem) -> Array:
        """The cell of every row of the pool: int64 [n_pool]."""
        _, y, group = problem.rows("train")
        if self.by == "group":
            return group
        if self.by == "label":
            return y
        return group * len(problem.classes) + y
