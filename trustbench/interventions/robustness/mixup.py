"""Training on convex combinations of pairs of examples and of their labels."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy import stats
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Array, Batch, Forward, Intervention, Problem, Read
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.pgd import cross_entropy


@dataclass(frozen=True)
class Mixup(Intervention):
    """Replaces every example by lam x + (1 - lam) x', and its loss by the same mixture of losses.

    x' is the next example of the batch, whose order is random. The proportions lam of a batch of m
    are the quantiles (k + 1/2) / m of Beta(`alpha`, `alpha`), one for each position: the published
    method draws one proportion for each batch. Combinations of categories hold numbers other than
    0 and 1. Validation rows stay as they are.

    The loss of an example reads another example, so one row moves two gradients: refused where a
    gradient rule bounds single examples, as DP-SGD does.

    Reference: Zhang et al. 2018, arXiv 1710.09412.
    """

    alpha: Annotated[float, Field(gt=0)] = 0.2

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (Read("members", "another row of the batch", into="training"),)
    reference: ClassVar[str] = "Zhang et al. 2018, arXiv 1710.09412"
    per_example: ClassVar[bool] = False
    dose: ClassVar[tuple[str, ...]] = ("alpha",)
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "perturb", "objective"})

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        if batch.validation:
            return batch.X
        lam, other = self._pairs(batch)
        X = batch.X.detach()
        share = lam.to(X.dtype).view(*lam.shape, *[1] * (X.ndim - 2))
        partner = X.gather(1, other.view(*other.shape, *[1] * (X.ndim - 2)).expand_as(X))
        return share * X + (1 - share) * partner

    @override
    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        if batch.validation:
            return loss
        lam, other = self._pairs(batch)
        both = (cross_entropy(logits, y.unsqueeze(2)) for y in (batch.y, batch.y.gather(1, other)))
        own, partner = (each.mean(2) for each in both)
        return lam.to(own.dtype) * own + (1 - lam.to(own.dtype)) * partner

    def _pairs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The proportion and the partner [R, B] of every row; padding is its own partner."""
        every = [_pairs_of(row.tobytes(), self.alpha) for row in batch.real.numpy()]
        lam, other = (torch.as_tensor(np.stack(part)) for part in zip(*every, strict=True))
        return lam.to(batch.y.device), other.to(batch.y.device)


@lru_cache(maxsize=64)
def _pairs_of(real: bytes, alpha: float) -> tuple[Array, Array]:
    """Proportions and partners [B] of a batch whose rows are real where the bytes are 1."""
    inside = np.flatnonzero(np.frombuffer(real, dtype=bool))
    lam, other = np.ones(len(real)), np.arange(len(real))
    m = len(inside)
    lam[inside] = stats.beta.ppf((np.arange(m) + 0.5) / max(m, 1), alpha, alpha)
    other[inside] = np.roll(inside, -1)
    return lam, other
