"""Causal adversarial learning: trains on the worst of a person's causal perturbations."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Intervention, Problem, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.pgd import cross_entropy
from trustbench.methods.causal.ball import without_model
from trustbench.methods.causal.training import neighbours_of


@dataclass(frozen=True)
class CausalAdversarialLearning(Intervention):
    """Replaces every example by the one of highest loss among its causal perturbations.

    Perturbations are `samples` points around each twin (the same person at every level of the
    sensitive variables), within l2 distance `epsilon` in the semi-latent space of `Problem.scm`;
    published: 1,000. The published numbers come from code that never takes the maximum, which is
    `cal_as_published`. It reads one example at a time: under DP-SGD the accounting is unchanged.

    Reference: Ehyaei et al. 2023, arXiv 2308.08938, section on causal adversarial learning.
    """

    epsilon: Annotated[float, Field(gt=0)] = 0.05
    samples: Annotated[int, Field(ge=1)] = 10

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Ehyaei et al. 2023, arXiv 2308.08938"
    dose: ClassVar[tuple[str, ...]] = ("epsilon", "samples")
    leaves_bounds: ClassVar[bool] = True
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "perturb"})

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return without_model(problem)

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        near = neighbours_of(problem, batch, self.epsilon, self.samples).flatten(2, 3)
        with torch.no_grad():
            logits = forward(near.flatten(1, 2)).unflatten(1, near.shape[1:3])
        worst = cross_entropy(logits, batch.y[..., None]).argmax(2)
        return near.take_along_dim(worst[..., None, None], dim=2)
