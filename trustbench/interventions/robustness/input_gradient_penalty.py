"""A penalty on the gradient of the loss with respect to the inputs."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Intervention, Problem, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import Norm, ThreatModel, unattackable
from trustbench.methods.attacks.evasion.pgd import cross_entropy, input_gradient


@dataclass(frozen=True)
class InputGradientPenalty(Intervention):
    """Adds `strength` x the squared slope of the loss in the direction in which it rises most.

    The slope is ((l(x + h d) - l(x)) / h)^2 with d the unit vector of steepest ascent, a second
    view of the example: no gradient of a gradient is needed, and under DP-SGD the accounting is
    unchanged. Directions are in units of each column's scale; immutable columns stay. `l2`
    penalises the Euclidean norm of the gradient, `linf` the sum of its absolute values, which is
    the slope that an attacker within a box exploits. The view may leave the bounds of the data by
    `step`.

    The loss is defined on the two views, so it cannot be combined with other methods that perturb
    inputs or change the objective.

    Reference: Finlay and Oberman 2021, arXiv 1905.11468, section 4 (finite differences); Ross and
    Doshi-Velez 2018, arXiv 1711.09404.
    """

    strength: Annotated[float, Field(ge=0)] = 0.1
    norm: Norm = "l2"
    step: Annotated[float, Field(gt=0)] = 0.01

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Finlay and Oberman 2021, arXiv 1905.11468"
    dose: ClassVar[tuple[str, ...]] = ("strength",)
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "perturb", "objective"})

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return unattackable(problem)

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        """Two views of every example [R, B, 2, *shape]: clean, and moved by `step` uphill."""
        clean = batch.X[:, :, 0].detach()
        weight = ThreatModel.of(problem, self.norm, self.step, clean).weight
        slope = input_gradient(forward, clean, batch.y, "ce")[0] * weight
        if self.norm == "linf":
            up = slope.sign()
        else:
            size = slope.flatten(2).norm(dim=2).view(*slope.shape[:2], *[1] * weight.ndim)
            up = slope / size.clamp(min=torch.finfo(slope.dtype).tiny)
        return torch.stack([clean, clean + self.step * weight * up], dim=2)

    @override
    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        clean, moved = (cross_entropy(view, batch.y) for view in logits.unbind(2))
        return clean + self.strength * ((moved - clean) / self.step).square()
