"""KernelSHAP for all replicates and rows at once: all rows share the sampled coalitions."""

import math
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, Learnt, System
from trustbench.errors import ConfigError
from trustbench.methods.explanations.lime_surrogate import BUDGET, flatten
from trustbench.methods.explanations.neighbourhood_base import Neighbourhood
from trustbench.methods.explanations.neighbourhoods import neighbourhood, without_rows
from trustbench.methods.explanations.tabular_neighbourhood import Columns
from trustbench.methods.explanations.targets import Target, target_values

# With fewer coalitions per part the regression may be singular.
FEWEST = 4


@dataclass(frozen=True)
class Coalitions:
    """Sets of parts that keep their value, with their weights."""

    masks: Array  # bool [s, M]
    weights: Array  # float64 [s]

    def solver(self) -> Array:
        """The matrix [M, s + 1] that maps (v(S) - v(0), ..., v(all) - v(0)) to values.

        Weighted least squares under the constraint that the values add up to the last number.
        """
        parts = self.masks.shape[1]
        Z = self.masks.astype(np.float64)
        moments = np.hstack([(Z * self.weights[:, None]).T, np.zeros((parts, 1))])
        free = np.linalg.solve((Z * self.weights[:, None]).T @ Z, moments)  # [M, s + 1]
        ones = np.linalg.solve((Z * self.weights[:, None]).T @ Z, np.ones(parts))
        excess = free.sum(axis=0)
        excess[-1] -= 1
        return np.asarray(free - np.outer(ones, excess) / ones.sum())


def coalitions(parts: int, samples: int, rng: np.random.Generator) -> Coalitions:
    """Returns all proper coalitions if `samples` suffice for them; else some are drawn.

    Sizes k and parts - k are enumerated, from the outside in, as long as drawing would visit each
    coalition at least once. Then pairs of a coalition and its complement are drawn, with sizes by
    the Shapley kernel. This is the package's rule.

    Reference: Lundberg and Lee 2017, arXiv 1705.07874, theorem 2; shap 0.51, _kernel.py.
    """
    sizes = np.arange(1, parts)
    mass = 1 / (sizes * (parts - sizes))
    mass, left = mass / mass.sum(), samples
    masks, weights, k = [np.zeros((0, parts), dtype=bool)], [np.zeros(0)], 1
    while k <= parts // 2:
        pair = sorted({k, parts - k})
        count = sum(math.comb(parts, size) for size in pair)
        share = mass[[size - 1 for size in pair]].sum() / mass[k - 1 : parts - k].sum()
        if left * share < count * (1 - 1e-9):
            break
        for size in pair:
            masks.append(_all_of(parts, size))
            weights.append(np.full(len(masks[-1]), mass[size - 1] / math.comb(parts, size)))
        left, k = left - count, k + 1
    if k <= parts // 2 and left >= 2:
        rest = mass[k - 1 : parts - k]
        drawn = rng.choice(sizes[k - 1 : parts - k], size=left // 2, p=rest / rest.sum())
        half = rng.random((left // 2, parts)).argsort(axis=1).argsort(axis=1) < drawn[:, None]
        masks += [half, ~half]
        weights.append(np.full(2 * len(half), rest.sum() / (2 * len(half))))
    return Coalitions(np.concatenate(masks), np.concatenate(weights))


def _all_of(parts: int, size: int) -> Array:
    """All coalitions of one size, bool [C(parts, size), parts]."""
    members = np.array(list(combinations(range(parts), size)))
    masks = np.zeros((len(members), parts), dtype=bool)
    np.put_along_axis(masks, members, True, axis=1)
    return masks


@dataclass(frozen=True)
class KernelShap:
    """Shapley values of the parts of each row, relative to a background.

    A part is a feature with all its columns, or a patch of a large image. Parts outside a coalition
    take the values of each of `background` pool rows in turn (0: of the pool's mean), and the
    target is averaged. A part's value is assigned to its column, that of a category to the column
    of its level, and that of a patch to its pixels in equal shares.

    Reference: Lundberg and Lee 2017, arXiv 1705.07874, section 4.1.
    """

    samples: int = 256
    background: int = 5
    target: Target = "margin"

    def check(self, system: System) -> None:
        """Raises ConfigError if `samples` coalitions cannot determine the values."""
        parts = neighbourhood(system.problem, 0.0, "cpu", without_rows(system.problem)).parts
        if self.samples < min(2**parts - 2, FEWEST * parts):
            raise ConfigError(
                f"samples={self.samples} coalitions are too few for the {parts} features or "
                f"patches of {system.problem.name}; give at least {FEWEST * parts}."
            )

    def attributions(self, system: System, X: Tensor, repeat: int = 0) -> Tensor:
        """Attributions [R, n, d] of X [n, *shape] or [R, n, *shape], in X's precision."""
        layout = without_rows(system.problem)
        area = neighbourhood(system.problem, 0.0, system.device, layout)
        values = self.values(system, area, X, repeat)
        return spread(area, values, flatten(system, X)).to(X.dtype)

    def values(self, system: System, area: Neighbourhood, X: Tensor, repeat: int = 0) -> Tensor:
        """Shapley values of the parts, float64 [R, n, parts]; see `attributions`."""
        rng = system.streams.numpy("explanations", "coalitions", repeat)
        drawn = coalitions(area.parts, self.samples, rng)
        keep = system.tensor(drawn.masks)[:, area.part]  # [s, d]
        solve = system.tensor(drawn.solver())  # [parts, s + 1]
        flat, classes, others = flatten(system, X), system.logits(X).argmax(-1), self.rows(system)
        per_row = len(keep) * len(others) * max(len(flat) * flat.shape[2], system.replicates * 2)
        m = max(1, BUDGET // per_row)
        found = []
        for rows, own in zip(flat.split(m, dim=1), classes.split(m, dim=1), strict=True):
            mixed = torch.where(keep[:, None], rows[:, :, None, None], others)
            inside = self._value(system, mixed.flatten(2, 3), own, len(others))  # [R, m, s]
            nothing = others.expand(1, rows.shape[1], *others.shape)
            empty = self._value(system, nothing, own, len(others))
            all_ = self._value(system, rows[:, :, None], own, 1)
            found.append((torch.cat([inside, all_], dim=-1) - empty) @ solve.mT)
        return torch.cat(found, dim=1)

    def rows(self, system: System) -> Tensor:
        """The background, [k, d]: rows of the pool, or its mean."""
        return system.learn("background", partial(self._drawn, system)).tensors["rows"]

    def _drawn(self, system: System) -> Learnt:
        pool = system.problem.rows("train")[0].reshape(-1, system.problem.n_features)
        rng = system.streams.numpy("explanations", "background")
        chosen = pool[rng.permutation(len(pool))[: self.background]]
        rows = chosen if self.background else pool.mean(axis=0, keepdims=True)
        return Learnt({"rows": system.tensor(rows)}, {"training rows": self.background})

    def _value(self, system: System, Z: Tensor, classes: Tensor, k: int) -> Tensor:
        """The mean target over the background, [R, m, s], of Z [L, m, s k, d]."""
        copies, m, points, _ = Z.shape
        rows = Z.reshape(copies, m * points, *system.problem.shape)
        logits = system.logits(rows[0] if copies == 1 else rows)
        targets = target_values(logits.unflatten(1, (m, points)), classes, self.target)
        mean: Tensor = targets.double().unflatten(-1, (-1, k)).mean(-1)
        return mean


def spread(area: Neighbourhood, values: Tensor, X: Tensor) -> Tensor:
    """Assigns values [R, n, parts] to the columns of X [L, n, d]: [R, n, d] with the same sum."""
    if not isinstance(area, Columns):
        return area.spread(values)
    holds = torch.ones_like(X)
    for block in area.blocks:
        level = X[..., block].argmax(-1, keepdim=True)
        holds[..., block] = torch.zeros_like(X[..., block]).scatter(-1, level, 1.0)
    return values[..., area.part] * holds.to(values.dtype)
