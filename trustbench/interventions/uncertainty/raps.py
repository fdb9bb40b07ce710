"""Regularised adaptive prediction sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from trustbench.contracts import Fact, Problem, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import (
    CalibrationScores,
    ReleasedSets,
    ScoreFunction,
    raps,
    thresholds,
)


@dataclass(frozen=True)
class RegularisedSets(ReleasedSets):
    """RAPS: APS scores plus `penalty` (the paper's lambda) for each rank beyond `k_reg`.

    Sets of more than `k_reg` labels become rare, at the price of small sets that grow. With as
    many classes as `k_reg` nothing is penalised.

    Reference: Angelopoulos et al. 2021, "Uncertainty sets for image classifiers using conformal
    prediction", arXiv 2009.14193, section 2.
    """

    penalty: Annotated[float, Field(gt=0)] = 0.1
    k_reg: Annotated[int, Field(ge=0)] = 1

    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Angelopoulos et al. 2021, arXiv 2009.14193"

    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        """A reason if no rank is penalised, else None."""
        if self.k_reg >= len(problem.classes):
            return f"k_reg={self.k_reg} penalises no rank of {len(problem.classes)} classes"
        return super().supports(problem, schedule)

    def functions(self) -> Mapping[str, ScoreFunction]:
        """The one score `raps`."""
        return {"raps": partial(raps, penalty=self.penalty, k_reg=self.k_reg)}

    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        """One threshold for all groups and labels."""
        return thresholds(own.true, self.alpha)[:, None, None], {}
