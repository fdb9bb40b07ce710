"""CAPIFY: robust and causally fair training, with regularisers in place of a worst case."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Intervention, Problem, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.actionable import actionable_mask, unknown_feature
from trustbench.methods.attacks.evasion.linearity import VIEWS, most_curved, penalties, views
from trustbench.methods.attacks.evasion.pgd import cross_entropy
from trustbench.methods.causal.ball import without_model
from trustbench.methods.causal.training import twins_of


@dataclass(frozen=True)
class Capify(Intervention):
    """The loss, plus local linearity, plus flatness, plus the worst loss among a row's twins.

    For each example: CE(x) + lambda |g(x + d) - g(x) - d . grad g(x)| + mu ||grad g(x)||^2 + nu max
    over twins CE(twin, y). g is the margin of class 1; d has l2 length `epsilon` and moves all
    columns, sensitive ones too; the gradient is that of the `actionable` features (none named: the
    mutable ones). Twins are the same person at every level of the sensitive variables, under
    `Problem.scm`. `linearity` is lambda, `flatness` mu, `twins` nu.

    The terms are read from views of the example, without a gradient of a gradient. It reads one
    example at a time: under DP-SGD its gradient is clipped as one, and the accounting is unchanged.
    A causal model that was learnt from rows is the data set's read of the pool.

    Reference: Ehyaei et al. 2023, Causal Adversarial Perturbations for Individual Fairness and
    Robustness in Heterogeneous Data Spaces, arXiv 2308.08938, and the authors' code.
    """

    epsilon: Annotated[float, Field(gt=0)] = 0.05
    linearity: Annotated[float, Field(ge=0)] = 1.0
    flatness: Annotated[float, Field(ge=0)] = 1.0
    twins: Annotated[float, Field(ge=0)] = 1.0
    steps: Annotated[int, Field(ge=1)] = 10
    rate: Annotated[float, Field(gt=0)] = 0.1
    actionable: tuple[str, ...] = ()

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Ehyaei et al. 2023, arXiv 2308.08938"
    dose: ClassVar[tuple[str, ...]] = ("epsilon", "linearity", "flatness", "twins")
    leaves_bounds: ClassVar[bool] = True
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "perturb", "objective"})

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        if not problem.binary:
            return f"the margin is that of two classes; this task has {len(problem.classes)}"
        return without_model(problem) or unknown_feature(problem, self.actionable)

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        """Six views for the penalties, then the twins: [R, B, 6 + L, d]."""
        X = batch.X[:, :, 0].detach()
        delta = most_curved(batch, forward, X, self.epsilon, self.steps, self.rate)
        mask = actionable_mask(problem, self.actionable, X)
        return torch.cat([views(forward, X, delta, mask), twins_of(problem, X)], dim=2)

    @override
    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        curved, steep = penalties(logits)
        clean = cross_entropy(logits[:, :, 0], batch.y)
        worst = cross_entropy(logits[:, :, VIEWS:], batch.y[..., None]).amax(2)
        return clean + self.linearity * curved + self.flatness * steep + self.twins * worst
