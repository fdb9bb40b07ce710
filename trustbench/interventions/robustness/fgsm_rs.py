"""Fast adversarial training: one gradient step from a random start."""

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
class FGSMRandomStart(Intervention):
    """Takes the loss at one step of `alpha` epsilon from a random point of the ball.

    It is as strong as PGD training for one extra gradient, as long as the step is close to epsilon.
    With large steps training may collapse onto the single-step attack ("catastrophic overfitting"),
    which a PGD evaluation reveals.

    Reference: Wong et al. 2020, arXiv 2001.03994, Algorithm 3 (alpha = 1.25 epsilon).
    """

    norm: Norm = "linf"
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    alpha: Annotated[float, Field(gt=0)] = 1.25

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Wong et al. 2020, arXiv 2001.03994"
    dose: ClassVar[tuple[str, ...]] = ("epsilon",)

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return unattackable(problem)

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        views = batch.X.shape[2]
        threat = ThreatModel.of(problem, self.norm, self.epsilon, batch.X)
        clean = batch.X.detach().flatten(1, 2)
        real, y = (t.repeat_interleave(views, dim=1) for t in (batch.real, batch.y))
        start = on_real_rows(threat.random_point, clean, real, batch.generators)
        gradient, _ = input_gradient(forward, start, y, "ce")
        bounds = threat.bounds(clean)
        return ascend(start, gradient, clean, threat, self.alpha, bounds).view_as(batch.X)
