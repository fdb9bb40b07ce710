"""Neighbourhoods of rows with named columns: Gaussian numbers, resampled categories."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Fact, Problem
from trustbench.methods.explanations.neighbourhood_base import (
    CommonNoise,
    Draws,
    Neighbourhood,
    PoolRows,
)

SIGMA, PIXEL_SIGMA = 0.5, 0.15
KERNEL_WIDTH = 0.75  # times sqrt(d), as lime.lime_tabular


@dataclass(frozen=True)
class Columns(Neighbourhood):
    """Perturbs a number by scale N(0, 1), and replaces a category by that of a random pool row.

    An embedding is replaced as a whole, as a category is.

    Perturbing one-hot columns like real numbers would describe impossible inputs. Coefficients are
    per column, so that the surrogate can distinguish the levels of a category: the `lime` package's
    indicator of a changed category cannot, which would cap its R2 by how much levels differ. The
    rest is lime's tabular explainer, sampling around the instance, without discretisation. Parts
    are the features; categories are resampled independently.

    Reference: Ribeiro et al. 2016, arXiv 1602.04938, section 3.3; lime 0.2, lime_tabular.
    """

    scale: Tensor  # float64 [d], 0 on categorical columns
    blocks: tuple[Tensor, ...]  # int64 [b], the columns of each category or embedding
    pool: Tensor  # float32 [n_pool, d]
    sigma: float

    def noise(self, samples: int, rng: np.random.Generator) -> CommonNoise:
        """Normal numbers per column, and pool rows per categorical feature."""
        real = rng.standard_normal((samples, len(self.scale)))
        rows = rng.integers(len(self.pool), size=(samples, len(self.blocks)))
        device = self.part.device
        return CommonNoise(
            torch.as_tensor(real, device=device), torch.as_tensor(rows, device=device)
        )

    def around(self, X: Tensor, noise: CommonNoise) -> Draws:
        """Perturbations of X [L, m, d]; all rows share one design if nothing is categorical."""
        step = noise.real * self.scale
        Z = X[:, :, None] + step.to(X.dtype)
        design = step[None, None]
        if self.blocks:
            for columns, rows in zip(self.blocks, noise.rows.T, strict=True):
                Z[..., columns] = self.pool[rows][:, columns].to(X.dtype)
            design = Z.double() - X[:, :, None].double()
        width = KERNEL_WIDTH * len(self.scale) ** 0.5
        return Draws(Z, design, torch.exp(-design.square().sum(-1) / (2 * width**2)))

    def spread(self, coefficients: Tensor) -> Tensor:
        """Returns the coefficients, which are per column already."""
        return coefficients

    def collect(self, attributions: Tensor) -> Tensor:
        """Returns the attributions, which are coefficients already."""
        return attributions

    def effects(self, coefficients: Tensor, X: Tensor) -> Tensor:
        """The sum of slope (x - baseline) over the columns of each feature."""
        moved = coefficients * (X - self.baseline.to(X.dtype)).double()
        zero = torch.zeros(*moved.shape[:-1], self.parts, dtype=moved.dtype, device=moved.device)
        return zero.index_add_(-1, self.part, moved)

    def facts(self) -> Mapping[str, Fact]:
        """The form, its noise and its kernel."""
        return {
            "neighbourhood": "Gaussian columns"
            + (", categories resampled from the pool" if self.blocks else ""),
            "sigma": self.sigma,
            "kernel": f"exp(-|z-x|^2 / 2w^2), w={KERNEL_WIDTH} sqrt({len(self.scale)})",
            "baseline_value": "mean of the training pool",
        }


@dataclass(frozen=True)
class DrawnColumns(Columns):
    """Columns of a released explainer: `pool` holds the categories of its draws, in order."""

    def noise(self, samples: int, rng: np.random.Generator) -> CommonNoise:
        """Normal numbers per column, and the draws in order for each categorical feature."""
        real = rng.standard_normal((samples, len(self.scale)))
        rows = torch.arange(samples)[:, None].expand(samples, len(self.blocks))
        device = self.part.device
        return CommonNoise(torch.as_tensor(real, device=device), rows.to(device))


def columns_of(
    problem: Problem, sigma: float, device: torch.device | str, pool: PoolRows
) -> Columns:
    """Returns the column form of a problem; see `neighbourhood`."""
    part = np.zeros(problem.n_features, dtype=np.int64)
    scale = np.zeros(problem.n_features)
    pixels = problem.features[0].kind == "pixel"
    sigma = sigma or (PIXEL_SIGMA if pixels else SIGMA)
    for k, feature in enumerate(problem.features):
        columns = list(feature.columns)
        part[columns] = k
        if feature.kind == "numeric":
            scale[columns] = sigma
        elif feature.kind == "pixel":
            scale[columns] = sigma * (feature.upper - feature.lower)
    return Columns(
        part=torch.as_tensor(part, device=device),
        baseline=torch.as_tensor(pool.mean, device=device),
        parts=len(problem.features),
        scale=torch.as_tensor(scale, device=device),
        blocks=tuple(
            torch.as_tensor(f.columns, device=device) for f in problem.features if f.whole
        ),
        pool=torch.as_tensor(pool.rows, device=device),
        sigma=sigma,
    )
