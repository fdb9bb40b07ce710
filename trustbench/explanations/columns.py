"""Neighbourhoods of rows with named columns: Gaussian numbers, resampled categories."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Fact, Feature, Problem
from trustbench.explanations.forms import Draws, Neighbourhood, Noise

SIGMA, PIXEL_SIGMA = 0.5, 0.15
KERNEL_WIDTH = 0.75  # times sqrt(p), as lime.lime_tabular


@dataclass(frozen=True)
class Block:
    """One categorical feature: its unit, its columns, and the level of each row of the pool.

    A single column holds two levels, told apart at `middle`; several columns are one-hot.
    """

    unit: int
    columns: Tensor  # int64 [b]
    middle: float
    pool: Tensor  # float [n_pool, b]

    def level(self, values: Tensor) -> Tensor:
        """The level of block values [..., b]: int64 [...]."""
        if len(self.columns) > 1:
            return values.argmax(-1)
        return (values[..., 0] > self.middle).long()


@dataclass(frozen=True)
class Columns(Neighbourhood):
    """Each numeric column gets x + scale N(0, 1); each category a level drawn from the pool.

    A unit's design value is z - x for a number and 1 where a category kept its level. That is
    the `lime` package's tabular explainer with sampling around the instance, no discretisation
    and categorical features. One-hot columns moved as reals would describe inputs that cannot
    exist. A categorical feature whose single column has more than two values counts as numeric.

    Reference: Ribeiro et al. 2016, arXiv 1602.04938, section 3.3; lime 0.2, lime_tabular.
    """

    scale: Tensor  # float64 [d], 0 on categorical columns
    blocks: tuple[Block, ...]
    declared_sigma: float

    def noise(self, samples: int, rng: np.random.Generator) -> Noise:
        """Normal numbers per unit, and pool rows per categorical feature."""
        real = rng.standard_normal((samples, self.p))
        high = len(self.blocks[0].pool) if self.blocks else 1
        rows = rng.integers(high, size=(samples, len(self.blocks)))
        device = self.unit.device
        return Noise(torch.as_tensor(real, device=device), torch.as_tensor(rows, device=device))

    def around(self, X: Tensor, noise: Noise) -> Draws:
        """Perturbations of X [L, m, d]; one design for all rows if nothing is categorical."""
        step = noise.real[:, self.unit] * self.scale  # [s, d]
        Z = X[:, :, None] + step.to(X.dtype)
        numeric = self.scale > 0
        design = torch.zeros(len(step), self.p, dtype=torch.float64, device=X.device)
        design[:, self.unit[numeric]] = step[:, numeric]
        squared = design.square().sum(-1)
        design, squared = design[None, None], squared[None, None]
        if self.blocks:
            design = design.repeat(*X.shape[:2], 1, 1)
            squared = squared.repeat(*X.shape[:2], 1)
        for k, block in enumerate(self.blocks):
            own, drawn = X[..., block.columns], block.pool[noise.rows[:, k]]
            same = block.level(own)[..., None] == block.level(drawn)
            # A kept level keeps the row's own values, which an attack may have made fractional.
            values = torch.where(same[..., None], own[:, :, None], drawn.to(X.dtype))
            Z[..., block.columns] = values
            design[..., block.unit] = same.double()
            squared = squared + (~same).double()
        width = KERNEL_WIDTH * self.p**0.5
        return Draws(Z, design, torch.exp(-squared / (2 * width**2)))

    def spread(self, coefficients: Tensor, X: Tensor) -> Tensor:
        """A number's slope in its column; a category's effect in the column of its level."""
        active = torch.ones_like(X)
        for block in self.blocks:
            if len(block.columns) > 1:
                hot = torch.nn.functional.one_hot(
                    block.level(X[..., block.columns]), len(block.columns)
                )
                active[..., block.columns] = hot.to(X.dtype)
        return coefficients[..., self.unit] * active

    def effects(self, coefficients: Tensor, X: Tensor) -> Tensor:
        """A number's slope times (x - baseline); a category's coefficient is its effect already."""
        gap = torch.where(self.scale > 0, X - self.baseline, torch.ones_like(X)).double()
        firsts = torch.zeros(self.p, dtype=torch.int64, device=X.device)
        firsts[self.unit] = torch.arange(len(self.unit), device=X.device)
        return coefficients * gap[..., firsts]

    def facts(self) -> Mapping[str, Fact]:
        """The form, its noise and its kernel."""
        return {
            "neighbourhood": "Gaussian columns"
            + (", categories resampled from the pool" if self.blocks else ""),
            "units": self.p,
            "sigma": self.declared_sigma,
            "kernel": f"exp(-|z-x|^2 / 2w^2), w={KERNEL_WIDTH} sqrt(units)",
            "baseline_value": "mean of the training pool",
        }


def columns_of(problem: Problem, sigma: float, device: torch.device | str) -> Columns:
    """The column form of a problem; see `neighbourhood`."""
    pool = problem.rows("train")[0].reshape(len(problem.splits["train"]), -1)
    unit = np.zeros(problem.n_features, dtype=np.int64)
    scale = np.zeros(problem.n_features)
    blocks: list[Block] = []
    for u, feature in enumerate(problem.features):
        columns = list(feature.columns)
        unit[columns] = u
        if feature.kind == "categorical" and _is_block(feature, pool):
            values = pool[:, columns]
            blocks.append(
                Block(
                    unit=u,
                    columns=torch.as_tensor(columns, device=device),
                    middle=float(values.min() + values.max()) / 2,
                    pool=torch.as_tensor(values, device=device),
                )
            )
        elif feature.kind == "pixel":
            scale[columns] = (sigma or PIXEL_SIGMA) * (feature.upper - feature.lower)
        else:
            scale[columns] = sigma or SIGMA
    pixels = problem.features[0].kind == "pixel"
    return Columns(
        unit=torch.as_tensor(unit, device=device),
        baseline=torch.as_tensor(pool.mean(axis=0), device=device),
        p=len(problem.features),
        scale=torch.as_tensor(scale, device=device),
        blocks=tuple(blocks),
        declared_sigma=sigma or (PIXEL_SIGMA if pixels else SIGMA),
    )


def _is_block(feature: Feature, pool: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> bool:
    return len(feature.columns) > 1 or len(np.unique(pool[:, feature.columns[0]])) == 2
