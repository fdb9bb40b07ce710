"""Fast adversarial training: one gradient step from a random start."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Problem
from trustbench.methods.attacks.evasion.training import TrainedInBall


@dataclass(frozen=True)
class FGSMRandomStart(TrainedInBall):
    """Takes the loss at one step of `alpha` epsilon from a random point of the ball.

    It is as strong as PGD training for one extra gradient, as long as the step is close to epsilon.
    With large steps training may collapse onto the single-step attack ("catastrophic overfitting"),
    which a PGD evaluation reveals.

    Reference: Wong et al. 2020, arXiv 2001.03994, Algorithm 3 (alpha = 1.25 epsilon).
    """

    alpha: Annotated[float, Field(gt=0)] = 1.25

    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Wong et al. 2020, arXiv 2001.03994"

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        return self.attacked(batch, forward, problem, steps=1, fraction=self.alpha)
