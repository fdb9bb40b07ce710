"""Prediction sets of the same mean size in every group."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import CalibrationScores, ReleasedScores, listed, rows_needed
from trustbench.methods.conformal.equal_size import equal_size, first_part


@dataclass(frozen=True)
class SizeEqualisedSets(ReleasedScores):
    """One threshold per group, chosen to equalise mean set size rather than coverage.

    The first `fraction` of each replicate's calibration rows shows how the set sizes of each group
    depend on the threshold. The rest determines the smallest common size that covers 1 - `alpha` of
    all rows together. Marginal coverage is still exactly at least 1 - `alpha`, since the two parts
    share no row. The coverage of single groups is not guaranteed, and falls for groups whose sets
    were larger. A group with fewer than `min_rows` rows in the first part uses the sizes of all
    groups, and is named in the fact `set_pooled_SCORE`.

    Reference: Cresswell et al. 2025, "Conformal prediction sets can cause disparate impact",
    arXiv 2410.01888 (equalise set size rather than coverage).
    """

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5
    min_rows: Annotated[int, Field(ge=1)] = 20

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "predict"
    reference: ClassVar[str] = "Cresswell et al. 2025, arXiv 2410.01888"
    guarantee: ClassVar[str] = "marginal coverage; none for a group"

    def rows_needed(self, own: CalibrationScores) -> int:
        """Returns the rows needed for the level, in the part that chooses the size."""
        needed = rows_needed(self.alpha)
        n = math.floor((needed - 1) / (1 - self.fraction)) + 1
        while n - first_part(n, self.fraction) < needed:
            n += 1
        return n

    @override
    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        groups = system.problem.groups
        found = equal_size(own, len(groups), self.alpha, self.fraction, self.min_rows)
        pooled = listed(groups, found.pooled.any(0).tolist())
        return found.threshold[:, :, None], {"pooled": pooled}
