"""What methods of adversarial training share: the ball, and attacked batches."""

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
class TrainedInBall(Intervention):
    """A method of row R that trains on inputs attacked within a ball."""

    norm: Norm = "linf"
    epsilon: Annotated[float, Field(gt=0)] = 0.1

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    dose: ClassVar[tuple[str, ...]] = ("epsilon",)

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return unattackable(problem)

    def attacked(
        self,
        batch: Batch,
        forward: Forward,
        problem: Problem,
        *,
        steps: int,
        fraction: float,
        random_start: bool = True,
    ) -> Tensor:
        """The batch's inputs after `steps` steps of `fraction` epsilon up the cross-entropy."""
        views = batch.X.shape[2]
        threat = ThreatModel.of(problem, self.norm, self.epsilon, batch.X)
        clean = batch.X.detach().flatten(1, 2)
        real, y = (t.repeat_interleave(views, dim=1) for t in (batch.real, batch.y))
        current = clean
        if random_start:
            current = on_real_rows(threat.random_point, clean, real, batch.generators)
        bounds = threat.bounds(clean)
        for _ in range(steps):
            gradient, _ = input_gradient(forward, current, y, "ce")
            current = ascend(current, gradient, clean, threat, fraction, bounds)
        return current.view_as(batch.X)
