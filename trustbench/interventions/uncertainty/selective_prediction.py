"""Selective prediction: rows of low confidence are left to somebody else."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Intervention, Read, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.rejection import doubt, rejecting


@dataclass(frozen=True)
class SelectivePrediction(Intervention):
    """Abstains where the largest probability is low, so that a share `coverage` is decided.

    The limit of each replicate is an order statistic of its calibration rows: a new row from the
    same population is decided with a probability of at least `coverage`. Confidence is the largest
    probability of the model, also where another method of the arm decides. With `coverage` 1 the
    system decides every row, as before.

    Reference: Geifman & El-Yaniv 2017, arXiv 1705.08500, section 3 (softmax response).
    """

    coverage: Annotated[float, Field(gt=0, le=1)] = 0.8

    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reads_rows: ClassVar = (Read("calibration", "the limit of confidence", into="answers"),)
    reference: ClassVar[str] = "Geifman & El-Yaniv 2017, arXiv 1705.08500"
    dose: ClassVar[tuple[str, ...]] = ("coverage",)
    deploys: ClassVar[Literal["data", "outputs", "channel", "release"]] = "release"

    @override
    def deploy(self, system: System) -> System:
        def score(X: Tensor) -> Tensor:
            return doubt(system.forward(X))

        return rejecting(system, "limit", score, 1 - self.coverage)
