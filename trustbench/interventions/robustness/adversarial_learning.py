"""Plain adversarial learning as CAPIFY's benchmark has it: Adam within a ball of all columns."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Intervention, Problem
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.linearity import ascend_by_adam
from trustbench.methods.attacks.evasion.pgd import input_gradient


@dataclass(frozen=True)
class AdversarialLearning(Intervention):
    """Replaces every example by one of higher loss within l2 distance `epsilon`.

    The baseline of CAPIFY that knows nothing of causes. All columns move in their own units,
    immutable and sensitive ones too, and bounds are ignored; `pgd_at` respects both. It reads one
    example at a time: under DP-SGD the accounting is unchanged.

    Reference: Madry et al. 2018, arXiv 1706.06083, section 2.1; the authors' code of CAPIFY (Ehyaei
    et al. 2023) for the ascent.
    """

    epsilon: Annotated[float, Field(gt=0)] = 0.05
    steps: Annotated[int, Field(ge=1)] = 7
    rate: Annotated[float, Field(gt=0)] = 0.1

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Madry et al. 2018, arXiv 1706.06083"
    dose: ClassVar[tuple[str, ...]] = ("epsilon",)
    leaves_bounds: ClassVar[bool] = True
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "perturb"})

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        X = batch.X[:, :, 0].detach()

        def uphill(delta: Tensor) -> Tensor:
            moved = X + delta.view_as(X)
            return input_gradient(forward, moved, batch.y, "ce")[0].flatten(2)

        start = torch.zeros_like(X.flatten(2))
        found = ascend_by_adam(uphill, start, self.epsilon, self.steps, self.rate)
        return (X + found.view_as(X)).unsqueeze(2)
