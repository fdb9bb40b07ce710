"""Example weights that give every group and label the same influence."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from trustbench.contracts import Array, Intervention, Problem, Read
from trustbench.contracts.aspects import Aspect


@dataclass(frozen=True)
class BalancedWeights(Intervention):
    """Canonical row F: weights each example by the inverse share of its (group, label) cell.

    Cells are counted in the whole training pool, over which weights have mean 1, so that a claim
    under DP can take their sizes as public. A half has half of every cell, up to one row, and so
    nearly the same weights. If the groups are the classes this is class balancing. `max_weight`
    bounds the weight of any example (null: no bound); the weight removed from rare cells goes to
    the others.

    Reference: Kamiran and Calders 2012, doi 10.1007/s10115-011-0463-8 (weights by group and label);
    Idrissi et al. 2022, arXiv 2110.14503 (cells of equal weight).
    """

    max_weight: Annotated[float, Field(gt=1)] | None = None

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = (Read("pool", "the size of each group and label", into="training"),)
    reference: ClassVar[str] = "Kamiran and Calders 2012; Idrissi et al. 2022, arXiv 2110.14503"
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "train"

    def weights(self, problem: Problem, members: Array) -> Array:
        """Weights [m] inversely proportional to the size of the example's cell in the pool."""
        _, y, group = problem.rows("train")
        cell = group * len(problem.classes) + y
        size = np.bincount(cell)
        weights = len(cell) / ((size > 0).sum() * size[cell])
        weights = weights if self.max_weight is None else bounded(weights, self.max_weight)
        return np.asarray(weights[members])


def bounded(weights: Array, bound: float) -> Array:
    """The weights [n] scaled and clipped at `bound` > 1 so that their mean is 1 again.

    >>> bounded(np.array([0.5, 0.5, 0.5, 2.5]), 2.0).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    weights, over = weights / weights.mean(), np.zeros(len(weights), dtype=bool)
    while (weights > bound * (1 + 1e-12)).any():
        over |= weights > bound
        # Some weight is below the bound: not all can be at a bound above their mean.
        free = len(weights) - bound * over.sum()
        weights = np.where(over, bound, weights * free / weights[~over].sum())
    return weights
