"""Prediction sets released with every prediction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import CalibrationScores, ReleasedScores, thresholds


@dataclass(frozen=True)
class SplitConformalSets(ReleasedScores):
    """Canonical row U: split conformal sets with 1 - `alpha` coverage. Nothing is retrained.

    Each replicate calibrates on its own rows (`rows`: only on its first ones); there is one set
    predictor per name in `scores`.

    Reference: Romano et al. 2020, arXiv 2006.02544 (APS); Sadinle et al. 2019, arXiv 1609.00451
    (LAC).
    """

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Romano et al. 2020, arXiv 2006.02544"

    @override
    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        return thresholds(own.true, self.alpha)[:, None, None], {}
