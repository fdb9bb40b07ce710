"""Sorted adaptive prediction sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import (
    CalibrationScores,
    ScoreFunction,
    SetRelease,
    saps,
    thresholds,
)


@dataclass(frozen=True)
class SortedSets(SetRelease):
    """SAPS: scores from the largest probability and the ranks; each rank counts `weight`.

    Reference: Huang et al. 2024, "Conformal prediction for deep classifier via label ranking",
    arXiv 2310.06430, section 3.
    """

    weight: Annotated[float, Field(gt=0)] = 0.2

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Huang et al. 2024, arXiv 2310.06430"

    @override
    def functions(self) -> Mapping[str, ScoreFunction]:
        return {"saps": partial(saps, weight=self.weight)}

    @override
    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        return thresholds(own.true, self.alpha)[:, None, None], {}
