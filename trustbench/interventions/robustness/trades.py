"""TRADES: the clean loss plus beta times how far an attack can move the prediction."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Problem
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.divergence import divergence, diverging
from trustbench.methods.attacks.evasion.pgd import cross_entropy
from trustbench.methods.attacks.evasion.training import TrainedInBall


@dataclass(frozen=True)
class TRADES(TrainedInBall):
    """Trades clean accuracy for robustness by one weight: CE(f(x), y) + beta KL(f(x) || f(x')).

    x' maximises the divergence within the ball. The two predictions of an example are its two
    views, clean first; gradients flow through both. The loss is defined on these views alone, so it
    cannot be combined with other methods that perturb inputs or change the objective. It reads one
    example at a time: under DP-SGD the accounting is unchanged.

    Reference: Zhang et al. 2019, arXiv 1901.08573, Algorithm 1 (beta is 1/lambda: 1 on
    MNIST, 6 on CIFAR-10).
    """

    steps: Annotated[int, Field(ge=1)] = 7
    beta: Annotated[float, Field(ge=0)] = 1.0

    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Zhang et al. 2019, arXiv 1901.08573"
    dose: ClassVar[tuple[str, ...]] = ("epsilon", "beta")
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "perturb", "objective"})

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        """Two views of every example [R, B, 2, *shape]: clean and attacked."""
        clean = batch.X[:, :, 0].detach()
        threat = ThreatModel.of(problem, self.norm, self.epsilon, clean)
        attacked = diverging(forward, clean, threat, batch.real, batch.generators, self.steps)
        return torch.stack([clean, attacked], dim=2)

    @override
    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """CE of the clean view plus beta times the divergence, [R, B]; logits [R, B, 2, C]."""
        clean, attacked = logits.unbind(2)
        return cross_entropy(clean, batch.y) + self.beta * divergence(clean, attacked)
