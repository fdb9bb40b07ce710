"""Uncertainty-aware training: more weight where the true class has a poor rank."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Intervention
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.pgd import cross_entropy


@dataclass(frozen=True)
class UncertaintyReducing(Intervention):
    """Weights the loss by 1 + Beta(a, b) density at rank / classes, for smaller prediction sets.

    The rank of the true class is the number of classes with a larger logit; the density, which no
    gradient passes, peaks for ranks somewhat below the top, where a set would have to grow.
    `entropy` adds that multiple of the mean entropy of the outputs. Published as part of
    adversarial training: stack it with `pgd_at`, whose attacked inputs it then weighs. With two
    classes the only ranks are 0 and 1, so it reduces to a weight on rows decided wrongly. The loss
    reads one example at a time: under DP-SGD the accounting is unchanged.

    Reference: Liu et al. 2024, arXiv 2405.08886 (AT-UR; a 1.1, b 5, and .3 for the entropy).
    """

    a: Annotated[float, Field(ge=1)] = 1.1
    b: Annotated[float, Field(ge=1)] = 5.0
    entropy: Annotated[float, Field(ge=0)] = 0.0

    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Liu et al. 2024, arXiv 2405.08886"
    dose: ClassVar[tuple[str, ...]] = ("b", "entropy")

    @override
    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """The loss [R, B] plus what weights and entropy add to the views' mean cross-entropy."""
        y = batch.y.unsqueeze(2).expand(logits.shape[:-1])
        log_p = logits.log_softmax(-1)
        extra = self.density(ranks(logits.detach(), y) / logits.shape[-1]) * cross_entropy(
            logits, y
        )
        if self.entropy:
            extra = extra - self.entropy * (log_p.exp() * log_p).sum(-1)
        return loss + extra.mean(2)

    def density(self, at: Tensor) -> Tensor:
        """The density of Beta(a, b) in [0, 1)."""
        a, b = (torch.tensor(v, dtype=torch.float64) for v in (self.a, self.b))
        constant = (torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b)).exp().item()
        return constant * at ** (self.a - 1) * (1 - at) ** (self.b - 1)


def ranks(logits: Tensor, y: Tensor) -> Tensor:
    """How many classes have a larger logit than the true one: [...] of logits [..., C], y [...].

    >>> ranks(torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([0])).tolist()
    [2.0]
    """
    true = logits.gather(-1, y.unsqueeze(-1))
    return (logits > true).sum(-1).to(logits.dtype)
