"""A model-free search: a population for each row, which only asks for answers."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from trustbench.methods.random_numbers import moved
from trustbench.methods.recourse.actions import Actions
from trustbench.methods.recourse.found import Recourse, tightened
from trustbench.methods.recourse.goal import Goal

AT_ONCE = 2**21  # numbers of a population that are handled at once
REFUSED = 1e4  # more than any cost, and small enough to add log-odds to in float32
SCALED = 0.3
NEAR = 0.3  # standard deviations of a small step, in the first generation


@dataclass(frozen=True)
class Evolution:
    """Keeps the better half of `population` candidates and crosses them, `iterations` times.

    A candidate is better if it is valid and cheaper; among invalid ones, if its log-odds are
    higher. A child takes each feature from one of two parents, each with probability 1/2. Then a
    feature mutates with probability `mutation`: to the person's own value, to a random allowed one,
    or by a small step. All rows and replicates meet the same random numbers, so that an answer does
    not depend on what else is asked.

    Reference: Sharma et al. 2020, arXiv 1905.07857, section 3 (CERTIFAI).
    """

    actions: Actions
    generator: torch.Generator
    population: int = 40
    iterations: int = 30
    mutation: float = 0.2

    def __call__(self, goal: Goal, X: Tensor) -> Recourse:
        """The counterfactuals of rows X [R, n, d].

        Where categories and numbers may change, a second population keeps the categories: another
        level is found early and costs much, and a population that holds it seldom turns back.
        """
        found = self._searched(goal, X)
        if not (self.actions.categories and self.actions.numbers):
            return found
        kept = replace(self, actions=replace(self.actions, categories=()))
        return found.or_cheaper(kept._searched(goal, X))

    def _searched(self, goal: Goal, X: Tensor) -> Recourse:
        numbers = self._drawn(X)
        rows = max(1, AT_ONCE // (len(X) * self.population * X.shape[-1]))
        chunks = range(0, X.shape[1], rows)
        return Recourse.joined([self._search(goal, X[:, k : k + rows], numbers) for k in chunks])

    @cached_property
    def _features(self) -> list[list[int]]:
        return [*([c] for c in self.actions.numbers), *map(list, self.actions.categories)]

    def _drawn(self, X: Tensor) -> Tensor:
        """Uniform numbers [generation, 6, 1, population, features]."""
        shape = (self.iterations + 1, 6, 1, self.population, len(self._features))
        drawn = torch.rand(shape, generator=self.generator, dtype=torch.float32)
        return moved(drawn.to(X.dtype), X.device)

    def _search(self, goal: Goal, X: Tensor, numbers: Tensor) -> Recourse:
        people = X.unsqueeze(2)  # [R, n, 1, d]
        start = people.expand(*X.shape[:2], self.population, X.shape[2])
        chosen = self._mutated(start, people, numbers[0], 0.5, 1.0)
        key = self._rank(goal, chosen, people)
        for g in range(1, self.iterations + 1):
            u = numbers[g]
            elite = key.argsort(stable=True, dim=-1)[..., : self.population // 2]
            kept = chosen.gather(2, elite.unsqueeze(-1).expand(*elite.shape, X.shape[2]))
            children = self._mutated(
                self._crossed(kept, people, u),
                people,
                u,
                self.mutation,
                1 - g / (self.iterations + 1),
            )
            chosen = torch.cat([kept, children[:, :, : self.population - elite.shape[2]]], 2)
            key = self._rank(goal, chosen, people)
        best = key.argmin(-1)
        found = key.gather(-1, best.unsqueeze(-1)).squeeze(-1) < REFUSED / 2
        index = best[..., None, None].expand(*best.shape, 1, X.shape[2])
        return tightened(goal, self.actions, X, chosen.gather(2, index).squeeze(2), found)

    def _rank(self, goal: Goal, chosen: Tensor, people: Tensor) -> Tensor:
        """What to minimise, [R, n, population]."""
        with torch.no_grad():
            odds = goal.log_odds(chosen.flatten(1, 2)).unflatten(1, chosen.shape[1:3])
        price = self.actions.cost(chosen - people)
        return torch.where(
            goal.enough(odds), price, REFUSED - odds.to(price).clamp(-REFUSED / 4, REFUSED / 4)
        )

    def _crossed(self, kept: Tensor, people: Tensor, u: Tensor) -> Tensor:
        """Children [R, n, population, d] of random pairs of the better half.

        Half of them come closer to the person or go farther, by up to `SCALED` of the way.
        """
        half = kept.shape[2]
        R, n, d = kept.shape[0], kept.shape[1], kept.shape[3]
        first, second = (
            kept.gather(2, (half * u[k, :, :, 0]).long().view(1, 1, -1, 1).expand(R, n, -1, d))
            for k in (0, 1)
        )
        child = torch.where(self._columns(u[2] < 0.5, d), first, second)
        by = 1 + SCALED * (2 * u[0, ..., -1] - 1) * (u[1, ..., -1] < 0.5)
        low, high = self.actions.reach(people)
        scaled = by[..., None] * (child - people)
        scaled = people + torch.minimum(torch.maximum(scaled, low), high)
        return torch.where(self._columns(self._is_number, d), scaled, child)

    @property
    def _is_number(self) -> Tensor:
        """Which features are numbers, bool [1, 1, features]."""
        numbers = len(self.actions.numbers)
        return (
            (torch.arange(len(self._features)) < numbers)
            .view(1, 1, -1)
            .to(self.actions.lower.device)
        )

    def _mutated(self, of: Tensor, people: Tensor, u: Tensor, rate: float, width: float) -> Tensor:
        """Candidates [R, n, population, d] with some features changed within the actions."""
        d = of.shape[-1]
        low, high = self.actions.reach(people)
        far = self._spread(2 * u[4] - 1, d)
        fresh = people + torch.where(far > 0, high, -low) * far**3
        small = of + NEAR * width * far * 2
        kind = self._columns(u[5] < 1 / 3, d), self._columns(u[5] < 2 / 3, d)
        moved_to = torch.where(kind[0], people, torch.where(kind[1], fresh, small))
        moved_to = torch.minimum(torch.maximum(moved_to, people + low), people + high)
        for place, columns in enumerate(self._features[len(self.actions.numbers) :]):
            v = u[:, :, :, len(self.actions.numbers) + place]
            level = (len(columns) * v[4]).long().clamp(max=len(columns) - 1)
            block = torch.nn.functional.one_hot(level, len(columns)).to(of).unsqueeze(1)
            stays = (v[5] < 1 / 3)[:, None, :, None]
            moved_to[..., columns] = torch.where(stays, people[..., columns], block)
        return torch.where(self._columns(u[3] < rate, d), moved_to, of)

    def _columns(self, chosen: Tensor, d: int) -> Tensor:
        """Features chosen [1, population, F] as columns [1, 1, population, d]."""
        return self._spread(chosen.float(), d) > 0

    def _spread(self, values: Tensor, d: int) -> Tensor:
        """Numbers of features [1, population, F] in their columns, 0 elsewhere."""
        out = values.new_zeros((*values.shape[:2], d))
        for k, columns in enumerate(self._features):
            out[..., columns] = values[..., k : k + 1]
        return out.unsqueeze(1)
