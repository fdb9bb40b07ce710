"""Prediction sets with one threshold per label."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import CalibrationScores, ReleasedScores, by_category, listed


@dataclass(frozen=True)
class ClassConditionalSets(ReleasedScores):
    """Split conformal sets that cover 1 - `alpha` of the rows of every class.

    A class with too few calibration rows is in every set and is named in the fact
    `set_without_threshold_SCORE`.

    Reference: Ding et al. 2023, arXiv 2306.09335, section 2 (classwise); Vovk et al. 2003,
    "Mondrian confidence machine".
    """

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Ding et al. 2023, arXiv 2306.09335"
    guarantee: ClassVar[str] = "coverage of every class"

    @override
    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        classes = system.problem.classes
        found = by_category(own.true, own.y, len(classes), self.alpha)
        without = found.isinf().any(0).tolist()
        return found[:, None, :], {"without_threshold": listed(classes, without)}
