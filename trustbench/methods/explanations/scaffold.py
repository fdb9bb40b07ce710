"""A model that decides by a sensitive attribute and shows explainers another rule."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor

from trustbench.contracts import Array, Feature, Problem, System
from trustbench.methods.explanations.tabular_neighbourhood import SIGMA

MOST_ROWS = 2000
# The logit margin of a decision; its sign is what matters.
STRENGTH = 4.0


def sensitive_feature(problem: Problem) -> Feature | None:
    """The categorical input that the groups come from, or None if it is not an input."""
    named = (f for f in problem.features if f.name == problem.group_name)
    return next((f for f in named if f.kind == "categorical" and len(f.columns) > 1), None)


def numeric_features(problem: Problem) -> list[Feature]:
    """The numeric inputs: they give LIME's perturbations away, and may serve as a decoy."""
    return [f for f in problem.features if f.kind == "numeric"]


class Rule(NamedTuple):
    """A linear margin of class 1: positive where the decision is favourable."""

    weights: Tensor  # [d]
    bias: float

    def margin(self, X: Tensor) -> Tensor:
        """The margin [..., n] of X [..., n, d]."""
        return X @ self.weights.to(X.dtype) + self.bias


def biased_rule(system: System, sensitive: Feature) -> tuple[Rule, tuple[str, ...]]:
    """Favours the levels with an above-average rate of the favourable class; names them."""
    X, y, _ = system.problem.rows("train")
    columns = list(sensitive.columns)
    member = X[:, columns] > 0
    rate = (member * y[:, None]).sum(axis=0) / np.maximum(member.sum(axis=0), 1)
    favoured = rate > y.mean()
    weights = np.zeros(X.shape[1], dtype=np.float32)
    weights[columns] = np.where(favoured, STRENGTH, -STRENGTH)
    levels = sensitive.levels or tuple(map(str, columns))
    names = tuple(level for level, f in zip(levels, favoured, strict=True) if f)
    return Rule(system.tensor(weights), 0.0), names


def decoy_rule(system: System, sensitive: Feature, name: str | None) -> tuple[Rule, str]:
    """Favours large values of one number: the named one, or the least correlated with the bias."""
    X = system.problem.rows("train")[0]
    bias = X @ biased_rule(system, sensitive)[0].weights.cpu().numpy()
    columns = {f.name: f.columns[0] for f in numeric_features(system.problem)}
    chosen = name or min(columns, key=lambda k: _correlation(X[:, columns[k]], bias))
    values = X[:, columns[chosen]]
    slope = STRENGTH / max(float(values.std()), 1e-6)
    weights = np.zeros(X.shape[1], dtype=np.float32)
    weights[columns[chosen]] = slope
    return Rule(system.tensor(weights), -slope * float(values.mean())), chosen


def _correlation(a: Array, b: Array) -> float:
    """|correlation|; infinite if a number is constant and thus decides nothing."""
    if a.std() == 0 or b.std() == 0:
        return float("inf")
    return float(abs(np.corrcoef(a, b)[0, 1]))


@dataclass(frozen=True)
class Detector:
    """A forest that distinguishes real rows from LIME's perturbations.

    Like the authors', it sees the numeric columns, where perturbed values differ from those that
    occur.

    Reference: Slack et al. 2020, arXiv 1911.02508, section 3.2.
    """

    forest: RandomForestClassifier
    columns: list[int]

    @classmethod
    def fitted(cls, system: System, trees: int, copies: int) -> "Detector":
        """Fits a forest of `trees` to rows of the pool and `copies` perturbations of each."""
        columns = [f.columns[0] for f in numeric_features(system.problem)]
        rng = system.streams.numpy("explanations", "detector")
        pool = system.problem.rows("train")[0][:, columns]
        real = pool[rng.permutation(len(pool))[:MOST_ROWS]]
        moved = perturbed(np.repeat(real, copies, axis=0), rng)
        label = np.repeat([True, False], [len(real), len(moved)])
        forest = RandomForestClassifier(
            trees, class_weight="balanced", random_state=int(rng.integers(2**31))
        )
        return cls(forest.fit(np.concatenate([real, moved]), label), columns)

    def real(self, X: Tensor) -> Tensor:
        """Which rows of X [..., d] pass for real, bool [...]."""
        seen = X.detach().cpu().numpy().astype(np.float32)[..., self.columns]
        passed = self.forest.predict(seen.reshape(-1, len(self.columns)))
        return torch.as_tensor(passed.reshape(seen.shape[:-1]), device=X.device)


def perturbed(rows: Array, rng: np.random.Generator) -> Array:
    """Perturbs numeric columns as LIME does."""
    return (rows + SIGMA * rng.standard_normal(rows.shape)).astype(np.float32)
