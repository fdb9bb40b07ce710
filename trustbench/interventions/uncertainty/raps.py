"""Regularised adaptive prediction sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, Problem, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import (
    CalibrationScores,
    ScoreFunction,
    SetRelease,
    raps,
    thresholds,
)


@dataclass(frozen=True)
class RegularisedSets(SetRelease):
    """RAPS: APS scores plus `penalty` (the paper's lambda) for each rank beyond `k_reg`.

    Sets of more than `k_reg` labels become rare, at the price of larger small sets. With only
    `k_reg` classes nothing is penalised.

    Reference: Angelopoulos et al. 2021, "Uncertainty sets for image classifiers using conformal
    prediction", arXiv 2009.14193, section 2.
    """

    penalty: Annotated[float, Field(gt=0)] = 0.1
    k_reg: Annotated[int, Field(ge=0)] = 1

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Angelopoulos et al. 2021, arXiv 2009.14193"

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        if self.k_reg >= len(problem.classes):
            return f"k_reg={self.k_reg} penalises no rank of {len(problem.classes)} classes"
        return super().supports(problem, schedule)

    @override
    def functions(self) -> Mapping[str, ScoreFunction]:
        return {"raps": partial(raps, penalty=self.penalty, k_reg=self.k_reg)}

    @override
    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        return thresholds(own.true, self.alpha)[:, None, None], {}
