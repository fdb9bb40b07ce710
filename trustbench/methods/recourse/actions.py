"""What a person can change of a row, and what it costs."""

from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from trustbench.contracts import Feature, Problem

Norm = Literal["l1", "l2"]


@dataclass(frozen=True)
class Actions:
    """The columns that a person can change, how far, and the cost of a change.

    Numbers move freely in their allowed direction, within the bounds of the data; a number that has
    places (an ordered category, a part of a date) stays, as does an embedding. A category moves to
    another of its levels. The cost is the `l1` or `l2` norm of the change, in the standard
    deviations of numbers; another level of a category counts as much as one of them.

    Reference: Ustun et al. 2019, arXiv 1809.06514, section 2 (action sets).
    """

    norm: Norm
    lower: Tensor  # [d]
    upper: Tensor  # [d]
    fall: Tensor  # [d], 1 where a number may shrink, else 0
    rise: Tensor  # [d]
    numbers: tuple[int, ...]
    categories: tuple[tuple[int, ...], ...]
    weight: Tensor  # [d] of |change| in the cost: 1/2 for each column of a category

    @classmethod
    def of(cls, problem: Problem, norm: Norm, like: Tensor) -> Self:
        """The actions that a problem declares, on the device and with the type of `like`."""
        features = problem.features
        numbers = tuple(c for f in features if _moves(f) for c in f.columns)
        fall, rise = torch.zeros(2, problem.n_features)
        weight = torch.ones(problem.n_features)
        for f in features:
            if _moves(f):
                fall[list(f.columns)] = float(f.actionable != "up")
                rise[list(f.columns)] = float(f.actionable != "down")
            if f.kind == "categorical":
                weight[list(f.columns)] = 0.5
        ends = (torch.as_tensor(problem.per_column(end)) for end in ("lower", "upper"))
        low, high, fall, rise, weight = (t.to(like) for t in (*ends, fall, rise, weight))
        switched = tuple(f.columns for f in features if _switches(f))
        return cls(norm, low, high, fall, rise, numbers, switched, weight)

    @staticmethod
    def none_in(problem: Problem) -> str | None:
        """Why nobody can change anything in the rows of a problem, or None if somebody can."""
        if any(f.kind == "pixel" for f in problem.features):
            return "recourse changes the columns of a table, and these inputs are pixels"
        if problem.favourable is None:
            return "needs a favourable class: two classes, or dataset.favourable=[...]"
        if any(map(_moves, problem.features)) or any(map(_switches, problem.features)):
            return None
        return f"no column of {problem.name} is actionable: a person can change none of them"

    def reach(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """The largest fall (<= 0) and rise of every column of rows X [..., d]."""
        low = torch.clamp(self.lower - X, max=0.0) * self.fall
        return low, torch.clamp(self.upper - X, min=0.0) * self.rise

    def cost(self, change: Tensor) -> Tensor:
        """The cost [...] of changes [..., d]."""
        if self.norm == "l1":
            return (self.weight * change.abs()).sum(-1)
        return (self.weight * change.square()).sum(-1).sqrt()

    def allowed(self, X: Tensor, changed: Tensor, tolerance: float = 1e-4) -> Tensor:
        """Whether a person can get from X to `changed` [..., d]: bool [...]."""
        low, high = self.reach(X)
        change = changed - X
        inside = (change >= low - tolerance) & (change <= high + tolerance)
        fine = torch.ones(change.shape[:-1], dtype=torch.bool, device=change.device)
        for columns in map(list, self.categories):
            block = changed[..., columns]
            switched = (block.amax(-1) > 1 - tolerance) & ((block.sum(-1) - 1).abs() < tolerance)
            switched &= block.amin(-1) > -tolerance
            kept = (change[..., columns].abs() <= tolerance).all(-1)
            fine &= switched | kept
            inside[..., columns] = True
        return fine & inside.all(-1)


def _moves(feature: Feature) -> bool:
    number = feature.kind == "numeric" and feature.scale > 0
    return number and feature.actionable != "none"


def _switches(feature: Feature) -> bool:
    block = feature.kind == "categorical" and len(feature.columns) > 1
    return block and feature.actionable != "none"
