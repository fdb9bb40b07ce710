"""Where a surrogate looks: perturbed copies of a row, and the units they are described by."""

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

    real: Tensor  # float64 [s, p]: standard normal (tabular) or 0 / 1 (patches)
    rows: Tensor  # int64 [s, blocks], rows of the pool whose levels are borrowed


@dataclass(frozen=True)
class Neighbourhood:
    """What the two forms share: p units over d columns, and a baseline that means "absent".

    `unit` [d] gives the unit of each column; `baseline` [d] is the mean of the training pool.
    """

    unit: Tensor
    baseline: Tensor
    p: int

    def noise(self, samples: int, rng: np.random.Generator) -> Noise:
        """The random numbers of `samples` perturbations."""
        raise NotImplementedError

    def around(self, X: Tensor, noise: Noise) -> Draws:
        """Perturbations of X [L, m, d]."""
        raise NotImplementedError

    def spread(self, coefficients: Tensor, X: Tensor) -> Tensor:
        """Attributions [R, n, d] from unit coefficients [R, n, p] at X [L, n, d]."""
        raise NotImplementedError

    def effects(self, coefficients: Tensor, X: Tensor) -> Tensor:
        """What each unit adds over its baseline according to the surrogate, [R, n, p]."""
        raise NotImplementedError

    def facts(self) -> Mapping[str, Fact]:
        """The declared form and settings."""
        raise NotImplementedError

    def collect(self, attributions: Tensor) -> Tensor:
        """Unit coefficients [R, n, p] from attributions [R, n, d]; undoes `spread`."""
        shape = (*attributions.shape[:-1], self.p)
        out = torch.zeros(shape, dtype=attributions.dtype, device=attributions.device)
        return out.index_add_(-1, self.unit, attributions)

    def switch_off(self, X: Tensor, off: Tensor) -> Tensor:
        """X [L, n, d] with the units marked in `off` (bool [R, n, p]) at their baseline."""
        return torch.where(off[..., self.unit], self.baseline.to(X.dtype), X)
