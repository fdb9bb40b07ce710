"""PGD adversarial training: replaces every batch by its attacked version."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Problem
from trustbench.methods.attacks.evasion.training import TrainedInBall


@dataclass(frozen=True)
class PGDAdversarialTraining(TrainedInBall):
    """Canonical row R: takes the loss at the last PGD iterate only (Cresswell 2025, Eq. 5).

    Each step moves 2.5 epsilon / steps; columns of scale 0 and immutable ones never change, and no
    value leaves its feature's bounds. The attack reads the current parameters and one record at a
    time, so under DP-SGD the accounting is unchanged.

    Reference: Madry et al. 2018, arXiv 1706.06083, section 2.1.
    """

    steps: Annotated[int, Field(ge=1)] = 7
    random_start: bool = True

    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Madry et al. 2018, arXiv 1706.06083"

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        return self.attacked(
            batch,
            forward,
            problem,
            steps=self.steps,
            fraction=2.5 / self.steps,
            random_start=self.random_start,
        )
