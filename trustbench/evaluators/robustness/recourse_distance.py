"""How far refused people are from a favourable decision: distance as robustness."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, Measured, Metric, RowRedraw, System, fraction
from trustbench.contracts.aspects import Aspect
from trustbench.evaluators._recourse import UNHELPED, RecourseEvaluator
from trustbench.methods.explanations.released import explained_points


@dataclass(frozen=True)
class RecourseDistance(RecourseEvaluator):
    """The mean and the median cost of counterfactuals over refused rows of `points` test rows.

    The farther, the more a person must change before a refusal becomes an acceptance: the model is
    harder to game, and its recourse harder to follow. Rows without a counterfactual are left out;
    `unreachable` is their share. A distance is an upper bound, as the search may miss a closer one.

    Reference: Sharma et al. 2020, arXiv 1905.07857, section 4 (CERTIFAI's robustness score).
    """

    points: Annotated[int, Field(ge=4)] = 200

    aspect: ClassVar[Aspect | None] = Aspect.ROBUSTNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider"})
    reference: ClassVar[str] = "Sharma et al. 2020, arXiv 1905.07857"
    metrics = (
        Metric(
            "mean_distance",
            "How much refused people must change, on average, before the decision turns.",
            "standard deviations",
            better="higher",
            lower=0.0,
        ),
        Metric(
            "median_distance",
            "How much a typical refused person must change before the decision turns.",
            "standard deviations",
            better="higher",
            lower=0.0,
        ),
        fraction(
            "unreachable",
            "The share of refused people whom no change found would help.",
            better="lower",
            diagnostic=True,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        X, rows = explained_points(system, self.points)
        _, y, group = (values[rows] for values in system.problem.rows("test"))
        found = self.searched(system, X, group)
        outcomes = {
            "refused": found.refused.cpu().numpy(),
            "found": found.found.cpu().numpy(),
            "cost": found.cost.double().cpu().numpy(),
        }
        return replace(
            self._summarised(outcomes, y, group),
            facts={"norm": self.norm},
            redraw=RowRedraw.of(outcomes, y, group, self._summarised),
        )

    def _summarised(self, outcomes: Mapping[str, Array], y: Array, group: Array) -> Measured:
        """The numbers of outcomes [R, n]."""
        refused, found, cost = (outcomes[k] for k in ("refused", "found", "cost"))
        if not found.any(axis=1).all():
            return Measured((), missing=dict.fromkeys((m.name for m in self.metrics), UNHELPED))
        each = [c[f] for c, f in zip(cost, found, strict=True)]
        n = int(found.sum(1).min())
        lost = 1 - found.sum(1) / refused.sum(1)
        return Measured(
            (
                self.measurement("mean_distance", np.array([c.mean() for c in each]), n),
                self.measurement("median_distance", np.array([np.median(c) for c in each]), n),
                self.measurement("unreachable", lost, int(refused.sum(1).min())),
            )
        )
