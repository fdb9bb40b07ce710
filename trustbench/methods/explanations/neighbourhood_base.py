"""The interface of neighbourhoods: perturbed copies of a row and their description."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, Fact


class Draws(NamedTuple):
    """Perturbed rows. L is 1, or R if the rows differ by replicate."""

    Z: Tensor  # [L, m, s, d], the input of the model
    design: Tensor  # float64 [L, m, s, p], or [1, 1, s, p] if all rows share it
    weights: Tensor  # float64, shape of design less its last axis

    def part(self, samples: slice) -> "Draws":
        """Returns some of the samples."""
        return Draws(
            self.Z[:, :, samples], self.design[..., samples, :], self.weights[..., samples]
        )


class CommonNoise(NamedTuple):
    """Random numbers shared by all rows and replicates: common random numbers."""

    real: Tensor  # float64 [s, p]: standard normal (columns) or 0 / 1 (patches)
    rows: Tensor  # int64 [s, blocks], pool rows whose categories are used


class PoolRows(NamedTuple):
    """The flattened rows of the training pool and their mean."""

    rows: Array  # float32 [n_pool, d]
    mean: Array  # float32 [d]


@dataclass(frozen=True)
class Neighbourhood(ABC):
    """Perturbations described by p regressors, and parts that can be removed.

    `part` [d] is the part of each column; `baseline` [d], the mean of the training pool, replaces a
    removed part.
    """

    part: Tensor
    baseline: Tensor
    parts: int

    @abstractmethod
    def noise(self, samples: int, rng: np.random.Generator) -> CommonNoise:
        """Draws the random numbers of `samples` perturbations."""

    @abstractmethod
    def around(self, X: Tensor, noise: CommonNoise) -> Draws:
        """Perturbations of X [L, m, d]."""

    @abstractmethod
    def spread(self, coefficients: Tensor) -> Tensor:
        """Attributions [R, n, d] from coefficients [R, n, p]."""

    @abstractmethod
    def collect(self, attributions: Tensor) -> Tensor:
        """Coefficients [R, n, p] from attributions [R, n, d]; undoes `spread`."""

    @abstractmethod
    def effects(self, coefficients: Tensor, X: Tensor) -> Tensor:
        """What each part adds over its baseline, [R, n, parts]; X is [L, n, d]."""

    @abstractmethod
    def facts(self) -> Mapping[str, Fact]:
        """The declared form and settings."""

    def switch_off(self, X: Tensor, off: Tensor) -> Tensor:
        """Sets the parts marked in `off` (bool [R, n, parts]) of X [L, n, d] to their baseline."""
        return torch.where(off[..., self.part], self.baseline.to(X.dtype), X)
