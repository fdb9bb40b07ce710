"""The counterfactuals of rows, and the last steps that every search ends with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trustbench.methods.recourse.actions import Actions
from trustbench.methods.recourse.goal import Goal

HALVINGS = 12


@dataclass(frozen=True)
class Recourse:
    """The best counterfactual found for each row.

    Where none was found, `found` is false and `changed` is the row itself.
    """

    changed: Tensor  # [R, n, d]
    found: Tensor  # bool [R, n]
    cost: Tensor  # [R, n]; 0 where none was found

    @classmethod
    def joined(cls, parts: "Sequence[Recourse]") -> "Recourse":
        """The counterfactuals of rows that were searched in parts."""
        changed, found, cost = (
            torch.cat([getattr(part, name) for part in parts], 1)
            for name in ("changed", "found", "cost")
        )
        return cls(changed, found, cost)

    def or_cheaper(self, other: "Recourse") -> "Recourse":
        """For each row the cheaper counterfactual of two searches."""
        better = other.found & (~self.found | (other.cost < self.cost))
        return Recourse(
            torch.where(better.unsqueeze(-1), other.changed, self.changed),
            self.found | other.found,
            torch.where(better, other.cost, self.cost),
        )


def tightened(goal: Goal, actions: Actions, X: Tensor, best: Tensor, found: Tensor) -> Recourse:
    """Moves the numbers of counterfactuals back towards the person as far as they stay valid.

    Halving an interval finds a boundary, not always the closest one; every answer is checked.
    """
    numbers = torch.zeros(X.shape[-1], dtype=torch.bool, device=X.device)
    numbers[list(actions.numbers)] = True
    low, high = (torch.full(X.shape[:2], end, dtype=X.dtype, device=X.device) for end in (0.0, 1.0))

    def at(share: Tensor) -> Tensor:
        return torch.where(numbers, X + share.unsqueeze(-1) * (best - X), best)

    for _ in range(HALVINGS):
        middle = (low + high) / 2
        valid = goal.reached(at(middle))
        high, low = torch.where(valid, middle, high), torch.where(valid, low, middle)
    final = torch.where((high < 1).unsqueeze(-1), at(high), best)
    changed = torch.where(found.unsqueeze(-1), final, X)
    return Recourse(changed, found, actions.cost(changed - X))
