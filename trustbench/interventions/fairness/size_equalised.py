"""Prediction sets of the same mean size in every group."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from trustbench.contracts import Fact, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import CalibrationScores, ReleasedScores, listed, rows_needed
from trustbench.methods.conformal.equal_size import equal_size, first_part


@dataclass(frozen=True)
class SizeEqualisedSets(ReleasedScores):
    """Thresholds by group that equalise mean set size, not coverage.

    The first `fraction` of each replicate's calibration rows says how large the sets of each
    group are at a threshold; on the rest, the smallest common size is chosen that covers
    1 - `alpha` of all rows together. What is left of the guarantee: marginal coverage is at
    least 1 - `alpha`, exactly, as the two parts share no row; coverage of a single group is
    not guaranteed, and falls for those whose sets were larger. A group with fewer than
    `min_rows` rows in the first part takes the sizes of all groups, and is named in the fact
    `set_pooled_SCORE`.

    Reference: Cresswell et al. 2025, "Conformal prediction sets can cause disparate impact",
    arXiv 2410.01888 (equalise set size rather than coverage).
    """

    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.5
    min_rows: Annotated[int, Field(ge=1)] = 20

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "predict"
    reference: ClassVar[str] = "Cresswell et al. 2025, arXiv 2410.01888"
    guarantee: ClassVar[str] = "marginal coverage; none for a group"

    def rows_needed(self, own: CalibrationScores) -> int:
        """Those of the level, in the part that chooses the size."""
        needed = rows_needed(self.alpha)
        n = math.floor((needed - 1) / (1 - self.fraction)) + 1
        while n - first_part(n, self.fraction) < needed:
            n += 1
        return n

    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        """One threshold for each group, [R, G, 1]."""
        groups = system.problem.groups
        found = equal_size(own, len(groups), self.alpha, self.fraction, self.min_rows)
        pooled = listed(groups, found.pooled.any(0).tolist())
        return found.threshold[:, :, None], {"pooled": pooled}
