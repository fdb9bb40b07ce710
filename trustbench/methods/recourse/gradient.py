"""A gradient search: the exact answer for the tangent of the model, again and again."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trustbench.methods.recourse.actions import Actions
from trustbench.methods.recourse.found import Recourse, tightened
from trustbench.methods.recourse.goal import Goal
from trustbench.methods.recourse.linear import nearest

TANGENTS = 5  # before a row without a counterfactual begins to climb
STRIDE = 0.3  # standard deviations of a climbing step
SLACK = 1e-4  # of a log-odds: beyond what float32 rounds


@dataclass(frozen=True)
class Linearisation:
    """Replaces the log-odds by their tangent, moves to the cheapest favourable point, and repeats.

    The point is the cheapest one within the allowed actions, so that immutable columns have no say
    in it. For a linear model the first of `steps` is exact. Later steps go half of the way, which
    keeps the search from alternating between two points. Rows for which tangents mislead climb the
    log-odds from the person in small steps, and then follow tangents again. Only numbers move.

    Reference: Moosavi-Dezfooli et al. 2016, arXiv 1511.04599, algorithm 1 (DeepFool); Wachter et
    al. 2018, arXiv 1711.00399 (counterfactuals by gradients); the actions: Ustun et al. 2019.
    """

    actions: Actions
    steps: int = 30

    def __call__(self, goal: Goal, X: Tensor) -> Recourse:
        """The counterfactuals of rows X [R, n, d]."""
        low, high = self.actions.reach(X)
        at, best = X, X
        found = torch.zeros(X.shape[:2], dtype=torch.bool, device=X.device)
        cost = torch.full(X.shape[:2], torch.inf, dtype=X.dtype, device=X.device)
        target = max(goal.margin, 0.0) + SLACK
        for step in range(self.steps + 1):
            odds, slope = goal.gradient(at)
            price = self.actions.cost(at - X)
            valid = goal.enough(odds)
            better = valid & (price < cost)
            best = torch.where(better.unsqueeze(-1), at, best)
            cost, found = torch.where(better, price, cost), found | valid
            gap = target - odds + (slope * (at - X)).sum(-1)
            aim = X + nearest(slope, gap, low, high, self.actions.norm)
            near = X if step == TANGENTS else at
            climbed = X + (near - X + STRIDE * _unit(slope * ((high > 0) | (low < 0)))).clamp(
                low, high
            )
            at = aim if step == 0 else (at + aim) / 2
            if step >= TANGENTS:
                at = torch.where(found.unsqueeze(-1), at, climbed)
        return tightened(goal, self.actions, X, best, found)


def _unit(slope: Tensor) -> Tensor:
    """Directions [..., d] of length 1; zero stays zero."""
    length: Tensor = torch.linalg.vector_norm(slope, dim=-1, keepdim=True)
    return slope / length.clamp(min=torch.finfo(slope.dtype).tiny)
