"""PGD adversarial training: replaces every batch by its attacked version."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Intervention, Problem, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import Norm, ThreatModel, unattackable
from trustbench.methods.attacks.evasion.padding import on_real_rows
from trustbench.methods.attacks.evasion.pgd import ascend, input_gradient


@dataclass(frozen=True)
class PGDAdversarialTraining(Intervention):
    """Canonical row R: takes the loss at the last PGD iterate only (Cresswell 2025, Eq. 5).

    Each step moves 2.5 epsilon / steps; columns of scale 0 and immutable ones never change, and no
    value leaves its feature's bounds. The attack reads the current parameters and one record at a
    time, so under DP-SGD the accounting is unchanged.

    Reference: Madry et al. 2018, arXiv 1706.06083, section 2.1.
    """

    norm: Norm = "linf"
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    steps: Annotated[int, Field(ge=1)] = 7
    random_start: bool = True

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Madry et al. 2018, arXiv 1706.06083"
    dose: ClassVar[tuple[str, ...]] = ("epsilon",)

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return unattackable(problem)

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        views = batch.X.shape[2]
        threat = ThreatModel.of(problem, self.norm, self.epsilon, batch.X)
        clean = batch.X.detach().flatten(1, 2)
        y = batch.y.repeat_interleave(views, dim=1)
        current = clean
        if self.random_start:
            real = batch.real.repeat_interleave(views, dim=1)
            current = on_real_rows(threat.random_point, clean, real, batch.generators)
        bounds = threat.bounds(clean)
        for _ in range(self.steps):
            gradient, _ = input_gradient(forward, current, y, "ce")
            current = ascend(current, gradient, clean, threat, 2.5 / self.steps, bounds)
        return current.view_as(batch.X)
