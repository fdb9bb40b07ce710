"""What every neighbourhood offers: perturbed copies of a row, and how they are described."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Fact


class Draws(NamedTuple):
    """Perturbed rows. L is 1, or R when the rows differ by replicate."""

    Z: Tensor  # [L, m, s, d], what the model sees
    design: Tensor  # float64 [L, m, s, p], or [1, 1, s, p] where all rows share it
    weights: Tensor  # float64, shape of design less its last axis

    def part(self, samples: slice) -> "Draws":
        """Some of the samples."""
        return Draws(
            self.Z[:, :, samples], self.design[..., samples, :], self.weights[..., samples]
        )


class Noise(NamedTuple):
    """Random numbers shared by all rows and replicates: common random numbers."""

    real: Tensor  # float64 [s, p]: standard normal (columns) or 0 / 1 (patches)
    rows: Tensor  # int64 [s, blocks], rows of the pool whose categories are borrowed


@dataclass(frozen=True)
class Neighbourhood(ABC):
    """Perturbations described by p regressors, and parts that can be taken away.

    `part` [d] gives the part of each column; `baseline` [d], the mean of the training pool, is
    what a part that was taken away looks like.
    """

    part: Tensor
    baseline: Tensor
    parts: int

    @abstractmethod
    def noise(self, samples: int, rng: np.random.Generator) -> Noise:
        """The random numbers of `samples` perturbations."""

    @abstractmethod
    def around(self, X: Tensor, noise: Noise) -> Draws:
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
        """X [L, n, d] with the parts marked in `off` (bool [R, n, parts]) at their baseline."""
        return torch.where(off[..., self.part], self.baseline.to(X.dtype), X)
