"""Neighbourhoods of images: patches of a grid, present or replaced by their baseline."""

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

LARGE = 8  # images with a longer side are cut into at most LARGE x LARGE patches
KERNEL_WIDTH = 0.25  # of the cosine distance, as lime.lime_image


@dataclass(frozen=True)
class Patches(Neighbourhood):
    """Keeps each patch, or replaces it by the pool's mean, with probability one half.

    The design is the mask; weights come from the cosine distance to the whole image. This is the
    `lime` package's image explainer with a declared grid in place of its segmentation, which finds
    one segment on small images.

    Reference: Ribeiro et al. 2016, arXiv 1602.04938, section 3.4; lime 0.2, lime_image.
    """

    side: int

    def noise(self, samples: int, rng: np.random.Generator) -> CommonNoise:
        """One mask per sample."""
        masks = torch.as_tensor(rng.integers(2, size=(samples, self.parts)).astype(np.float64))
        none = torch.zeros(samples, 0, dtype=torch.int64)
        return CommonNoise(masks.to(self.part.device), none.to(self.part.device))

    def around(self, X: Tensor, noise: CommonNoise) -> Draws:
        """Masked copies of X [L, m, d]; all rows share the design."""
        keep = noise.real[:, self.part] > 0
        Z = torch.where(keep, X[:, :, None], self.baseline.to(X.dtype))
        distance = 1 - (noise.real.mean(-1)).sqrt()  # cosine distance of a mask to all ones
        weights = torch.exp(-distance.square() / (2 * KERNEL_WIDTH**2))
        return Draws(Z, noise.real[None, None], weights[None, None])

    def spread(self, coefficients: Tensor) -> Tensor:
        """Each pixel's equal share of its patch."""
        area = torch.bincount(self.part, minlength=self.parts)
        return (coefficients / area)[..., self.part]

    def collect(self, attributions: Tensor) -> Tensor:
        """The sum over the pixels of each patch."""
        shape = (*attributions.shape[:-1], self.parts)
        zero = torch.zeros(shape, dtype=attributions.dtype, device=attributions.device)
        return zero.index_add_(-1, self.part, attributions)

    def effects(self, coefficients: Tensor, X: Tensor) -> Tensor:
        """Returns the coefficients: that of a patch is its effect already."""
        return coefficients

    def facts(self) -> Mapping[str, Fact]:
        """The form, its grid and its kernel."""
        return {
            "neighbourhood": f"grid of {self.side}x{self.side}-pixel patches, kept or replaced",
            "patches": self.parts,
            "kernel": f"exp(-c^2 / 2w^2), c the cosine distance, w={KERNEL_WIDTH}",
            "baseline_value": "mean of the training pool",
        }


def patches_of(problem: Problem, device: torch.device | str, pool: PoolRows) -> Patches:
    """The patch form of an image problem: square patches, all channels together."""
    channels, height, width = problem.shape
    side = -(-max(height, width) // LARGE)
    rows, columns = np.arange(height) // side, np.arange(width) // side
    grid = rows[:, None] * (columns[-1] + 1) + columns
    part = np.broadcast_to(grid, (channels, height, width)).reshape(-1).astype(np.int64)
    return Patches(
        part=torch.as_tensor(part, device=device),
        baseline=torch.as_tensor(pool.mean, device=device),
        parts=int(grid.max()) + 1,
        side=side,
    )
