"""Who has to change more: the cost of recourse by group."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import PERMUTED, Array, Measured, Metric, RowRedraw, System
from trustbench.contracts.aspects import Aspect
from trustbench.evaluators._recourse import RecourseEvaluator
from trustbench.methods.explanations.released import explained_points
from trustbench.methods.group_nulls import against_chance
from trustbench.methods.groups import means, means_by

NAMES = ("cost_gap", "cost_worst_group", "burden_gap")


@dataclass(frozen=True)
class RecourseGap(RecourseEvaluator):
    """Gaps between groups in the cost of counterfactuals of `people` test rows, each with its null.

    `cost_gap` and `cost_worst_group` compare the mean cost over refused rows with a counterfactual;
    `burden_gap` that over all rows of a group, the accepted ones counted as 0, so that it also sees
    that one group is refused more often. Refused rows without a counterfactual are left out of all
    three. Groups need `min_group` of the rows, some of them with a counterfactual in every model.

    Reference: Sharma et al. 2020, arXiv 1905.07857, section 4 (burden); Gupta et al. 2019, arXiv
    1909.03166 (equal recourse).
    """

    people: Annotated[int, Field(ge=4)] = 400
    min_group: Annotated[int, Field(ge=1)] = 20

    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider"})
    reference: ClassVar[str] = "Sharma et al. 2020, arXiv 1905.07857"
    metrics = (
        Metric(
            "cost_gap",
            "How much more refused people of one group must change than those of another.",
            "standard deviations",
            better="lower",
            lower=0.0,
            null=PERMUTED,
        ),
        Metric(
            "cost_worst_group",
            "How much refused people must change in the group that must change most.",
            "standard deviations",
            better="lower",
            lower=0.0,
            null=PERMUTED,
        ),
        Metric(
            "burden_gap",
            "How much more one group must change than another, accepted people counted as none.",
            "standard deviations",
            better="lower",
            lower=0.0,
            null=PERMUTED,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        X, rows = explained_points(system, self.people)
        _, y, group = (values[rows] for values in system.problem.rows("test"))
        found = self.searched(system, X, group)
        outcomes = {
            "found": found.found.double().cpu().numpy(),
            "counted": (found.found | ~found.refused).double().cpu().numpy(),
            "cost": (found.cost * found.found).double().cpu().numpy(),
        }
        summarised = partial(self._summarised, system)
        return replace(
            summarised(outcomes, y, group),
            facts={"norm": self.norm, "min_group": self.min_group},
            redraw=RowRedraw.of(outcomes, y, group, summarised),
        )

    def _summarised(
        self, system: System, outcomes: Mapping[str, Array], y: Array, group: Array
    ) -> Measured:
        """The numbers of outcomes [R, n]."""
        G = len(system.problem.groups)
        having = np.nan_to_num(means(outcomes["found"], group, G)).min(axis=0) > 0
        large = (np.bincount(group, minlength=G) >= self.min_group) & having
        if large.sum() < 2:
            reason = (
                f"needs two groups of {self.min_group} rows, each with a counterfactual in every "
                "model"
            )
            return Measured((), missing=dict.fromkeys(NAMES, reason))
        kept = large[group]
        rows = {name: each[:, kept] for name, each in outcomes.items()}
        statistics = partial(_spread, rows, large)
        n = int(rows["found"].sum(1).min())
        build = partial(self.measurement, n=n)
        return Measured(tuple(against_chance(build, statistics, group[kept], system)))


def _spread(rows: Mapping[str, Array], large: Array, groups: Array) -> dict[str, Array]:
    """The statistics [K, R] of K groupings [K, n]."""
    cost, found, counted = (
        means_by(rows[name], groups, len(large))[..., large]
        for name in ("cost", "found", "counted")
    )
    # a random group may hold nobody with a counterfactual: the others are then compared
    each = np.divide(cost, found, out=np.full(cost.shape, np.nan), where=found > 0)
    burden = np.divide(cost, counted, out=np.full(cost.shape, np.nan), where=counted > 0)
    most = np.nanmax(each, axis=-1)
    gaps = np.nanmax(burden, axis=-1) - np.nanmin(burden, axis=-1)
    return dict(zip(NAMES, (most - np.nanmin(each, axis=-1), most, gaps), strict=True))
