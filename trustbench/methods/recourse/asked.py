"""Counterfactuals as a system releases them, or as a search finds them where it releases none."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from trustbench.contracts import Array, System
from trustbench.methods.explanations.released import FACT
from trustbench.methods.recourse.actions import Actions, Norm
from trustbench.methods.recourse.found import Recourse
from trustbench.methods.recourse.genetic import Evolution
from trustbench.methods.recourse.goal import Goal
from trustbench.methods.recourse.gradient import Linearisation

Search = Literal["gradient", "genetic"]
CHUNK = 2**20  # input numbers of one backward pass


@dataclass(frozen=True)
class Searching:
    """The settings of a search for counterfactuals."""

    search: Search
    norm: Norm = "l2"
    margin: float = 0.0
    steps: int = 30
    population: int = 40
    iterations: int = 30

    def __call__(self, system: System, X: Tensor, repeat: int = 0) -> Recourse:
        """The counterfactuals of rows X [R, n, d]; `repeat` gives other random numbers."""
        actions, goal = Actions.of(system.problem, self.norm, X), Goal(system, self.margin)
        if self.search == "genetic":
            chance = system.streams.torch("explanations", "counterfactuals", repeat)
            evolution = Evolution(actions, chance, self.population, self.iterations)
            return evolution(goal, X)
        linear = Linearisation(actions, self.steps)
        rows = max(1, CHUNK // (len(X) * X.shape[-1]))
        return Recourse.joined([linear(goal, x) for x in X.split(rows, dim=1)])


class Owed(NamedTuple):
    """What each replicate owes the rows that it refuses, and what they get."""

    X: Tensor  # [R, n, d]
    refused: Tensor  # bool [R, n]
    changed: Tensor  # [R, n, d], the row itself where there is no counterfactual
    allowed: Tensor  # bool [R, n], whether a person could do it
    found: Tensor  # bool [R, n], refused, allowed and decided on favourably
    cost: Tensor  # [R, n]
    released: bool


def owed(
    system: System, rows: Tensor, group: Array, searching: Searching, *, releases: bool = True
) -> Owed:
    """The counterfactuals of `rows` [n, *shape] of `group` [n], for each replicate.

    With `releases`, they are those of the system, if it releases any. The deployed decisions say
    who is refused, and whether a counterfactual is accepted.
    """
    X = copies(system, rows)
    actions, goal = Actions.of(system.problem, searching.norm, X), Goal(system)
    refused = ~goal.granted(X, group)
    released = releases and system.facts.get(FACT) == "changes"
    changed = X + system.explain(rows).to(X) if released else searching(system, X).changed
    changed = torch.where(refused.unsqueeze(-1), changed, X)
    allowed = actions.allowed(X, changed)
    found = refused & allowed & goal.granted(changed, group)
    return Owed(X, refused, changed, allowed, found, actions.cost(changed - X), released)


def copies(system: System, X: Tensor) -> Tensor:
    """Flattened rows [R, n, d] of X [n, *shape] or [R, n, *shape]."""
    flat = X.flatten(-len(system.problem.shape))
    return flat.expand(system.replicates, *flat.shape[-2:])
