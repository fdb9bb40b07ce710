"""Who pays for a change of the training data or of the method, by group."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import PERMUTED, Access, Array, Evaluator, Measured, Metric, Need, System
from trustbench.contracts.aspects import Aspect
from trustbench.evaluators._decisions import decisions
from trustbench.methods.group_nulls import against_chance
from trustbench.methods.groups import gap, means_by, sizes


@dataclass(frozen=True)
class GroupCost(Evaluator):
    """The accuracy that each group loses, compared with the baseline on the same test rows.

    A replicate is compared with the baseline's of the same members. The baseline itself loses
    nothing, so every effect is a cost; read it beside that of the control `reseed`. To abstain is
    not right. Groups with fewer than `min_group` test rows are left out. Where a method replaces
    the test rows, the baseline answers on these rows too, and the cost is that of training alone.

    Reference: Zhang and Long 2021, arXiv 2110.12002 (fairness under imputation).
    """

    min_group: Annotated[int, Field(ge=1)] = 20

    version: ClassVar[int] = 1
    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider"})
    needs: ClassVar[frozenset[Need]] = frozenset({"baseline"})
    takes_abstention: ClassVar[bool] = True
    access: ClassVar[frozenset[Access]] = frozenset({"replicates"})
    reference: ClassVar[str] = "Zhang and Long 2021, arXiv 2110.12002"
    metrics = (
        Metric(
            "cost_gap",
            "How much more accuracy one group loses to the method than another.",
            "accuracy",
            better="lower",
            lower=0.0,
            upper=2.0,
            null=PERMUTED,
        ),
        Metric(
            "worst_group_cost",
            "The accuracy that the group which loses most loses to the method.",
            "accuracy",
            better="lower",
            lower=-1.0,
            upper=1.0,
            null=PERMUTED,
        ),
        Metric(
            "mean_cost",
            "The accuracy that all test rows together lose to the method.",
            "accuracy",
            better="lower",
            lower=-1.0,
            upper=1.0,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        count = sizes(system.problem.rows("test")[2], len(system.problem.groups))
        if (count >= self.min_group).sum() < 2:
            return f"needs two groups with min_group={self.min_group} test rows each"
        return None

    @override
    def measure(self, system: System) -> Measured:
        _, y, group = system.problem.rows("test")
        other = system if system.baseline is None else system.baseline()
        lost = (decisions(other, "test") == y) * 1.0 - (decisions(system, "test") == y)
        large = sizes(group, len(system.problem.groups)) >= self.min_group
        kept = large[group]

        def statistics(groups: Array) -> Mapping[str, Array]:
            cost = means_by(lost[:, kept], groups, len(large))[..., large]
            return {"cost_gap": gap(cost), "worst_group_cost": cost.max(-1)}

        build = partial(self.measurement, n=int(kept.sum()))
        found = tuple(against_chance(build, statistics, group[kept], system))
        mean = self.measurement("mean_cost", lost.mean(1), len(y))
        by_group = means_by(lost, group[None], len(large))[0][:, large]
        names = ", ".join(g for g, k in zip(system.problem.groups, large, strict=True) if k)
        return Measured(
            (*found, mean),
            arrays={"cost_by_group": np.asarray(by_group)},
            facts={"groups_measured": names},
        )
