"""Prediction sets with one threshold per cluster of classes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, Problem, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import CalibrationScores, ReleasedScores, rows_needed
from trustbench.methods.conformal.clusters import NULL, ClusterPlan, clustered, heuristic


@dataclass(frozen=True)
class ClusteredSets(ReleasedScores):
    """Split conformal sets in which classes with similar scores share a threshold.

    A part of the calibration rows places the classes by the quantiles of their scores; the rest
    calibrates each cluster. Rare classes get the threshold of all rows, and so do all classes if
    there are no more classes than clusters. If null, `clusters` and `fraction`, the share of rows
    used for clustering, follow the paper's rule, which needs dozens of rows per class and tens of
    classes to make two clusters.

    Reference: Ding et al. 2023, "Class-conditional conformal prediction with many classes",
    arXiv 2306.09335, section 2.
    """

    clusters: Annotated[int, Field(ge=2)] | None = None
    fraction: Annotated[float, Field(gt=0, lt=1)] | None = None

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Ding et al. 2023, arXiv 2306.09335"
    guarantee: ClassVar[str] = "coverage of every cluster of classes"

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        if len(problem.classes) < 3:
            return f"the {len(problem.classes)} classes of {problem.name} leave nothing to cluster"
        return super().supports(problem, schedule)

    def rows_needed(self, own: CalibrationScores) -> int:
        """The rows needed for the level, in the part that does not cluster (of random size)."""
        used = 1 - max(self._plan(own, r).fraction for r in range(len(own.y)))
        return math.ceil(rows_needed(self.alpha) / used)

    @override
    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        found = []
        for r in range(system.replicates):
            rng = system.streams.numpy("conformal", r, "clusters")
            found.append(clustered(own, r, self._plan(own, r), self.alpha, rng))
        null = [(c.cluster == NULL).mean() for c in found]
        return torch.stack([c.threshold for c in found])[:, None, :], {
            "clusters": max(len(set(c.cluster.tolist()) - {NULL}) for c in found),
            "null_classes": float(sum(null) / len(null)),
        }

    def _plan(self, own: CalibrationScores, r: int) -> ClusterPlan:
        counts = torch.bincount(own.y[r], minlength=own.labels.shape[-1]).cpu().numpy()
        auto = heuristic(counts, self.alpha)
        return ClusterPlan(self.fraction or auto.fraction, self.clusters or auto.clusters)
