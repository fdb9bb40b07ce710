"""Prediction sets released with every prediction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from trustbench.contracts import Fact, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import CalibrationScores, ReleasedScores, thresholds


@dataclass(frozen=True)
class SplitConformalSets(ReleasedScores):
    """Canonical row U: split conformal sets of 1 - `alpha` coverage. Nothing is retrained.

    Each replicate calibrates on its own rows (`rows`: only on that many first rows); one set
    predictor per name in `scores`.

    Reference: Romano et al. 2020, arXiv 2006.02544 (APS); Sadinle et al. 2019, arXiv 1609.00451
    (LAC).
    """

    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Romano et al. 2020, arXiv 2006.02544"

    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        """One threshold for all groups and labels."""
        return thresholds(own.true, self.alpha)[:, None, None], {}
