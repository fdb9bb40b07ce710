"""Sorted adaptive prediction sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from trustbench.contracts import Fact, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import (
    CalibrationScores,
    ReleasedSets,
    ScoreFunction,
    saps,
    thresholds,
)


@dataclass(frozen=True)
class SortedSets(ReleasedSets):
    """SAPS: scores from the largest probability and the ranks, each rank worth `weight`.

    Reference: Huang et al. 2024, "Conformal prediction for deep classifier via label ranking",
    arXiv 2310.06430, section 3.
    """

    weight: Annotated[float, Field(gt=0)] = 0.2

    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Huang et al. 2024, arXiv 2310.06430"

    def functions(self) -> Mapping[str, ScoreFunction]:
        """The one score `saps`."""
        return {"saps": partial(saps, weight=self.weight)}

    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        """One threshold for all groups and labels."""
        return thresholds(own.true, self.alpha)[:, None, None], {}
