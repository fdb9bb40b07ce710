"""Prediction sets released with every prediction."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field

from trustbench.aspects import Aspect
from trustbench.conformal import Score, set_predictor
from trustbench.contracts import Intervention, System


@dataclass(frozen=True)
class SplitConformalSets(Intervention):
    """Canonical row U: split conformal sets of 1 - `alpha` coverage. Nothing is retrained.

    Each replicate calibrates on its own rows; one set predictor per name in `scores`.

    Reference: Romano et al. 2020, arXiv 2006.02544 (APS); Sadinle et al. 2019, arXiv 1609.00451
    (LAC).
    """

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    scores: Annotated[tuple[Score, ...], Field(min_length=1)] = ("aps", "lac")

    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Romano et al. 2020, arXiv 2006.02544"
    dose: ClassVar[tuple[str, ...]] = ("alpha",)

    def deploy(self, system: System) -> System:
        """The system with a set predictor for each score."""
        predictors = dict(system.set_predictors)
        for score in self.scores:
            predictors[score] = set_predictor(system, score, self.alpha)
        return replace(system, set_predictors=predictors)
