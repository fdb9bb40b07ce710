"""Prediction sets with one threshold per group: equalised coverage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import CalibrationScores, ReleasedScores, by_category, listed


@dataclass(frozen=True)
class MondrianSets(ReleasedScores):
    """Split conformal sets that cover 1 - `alpha` of every group, with one threshold for each.

    Predicting a set requires the group. A group with too few calibration rows for its own threshold
    gets all labels and is named in the fact `set_without_threshold_SCORE`. Sets grow for groups
    that a common threshold would cover too rarely, so sizes become less equal.

    Reference: Romano et al. 2020, "With malice toward none: assessing uncertainty via equalized
    coverage", arXiv 1908.05428, section 2.
    """

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "predict"
    reference: ClassVar[str] = "Romano et al. 2020, arXiv 1908.05428"
    guarantee: ClassVar[str] = "coverage of every group"

    @override
    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        groups = system.problem.groups
        found = by_category(own.true, own.group, len(groups), self.alpha)
        without = found.isinf().any(0).tolist()
        return found[:, :, None], {"without_threshold": listed(groups, without)}
