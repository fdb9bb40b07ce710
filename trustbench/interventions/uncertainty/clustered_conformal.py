"""Prediction sets with a threshold for each cluster of classes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trustbench.contracts import Fact, Problem, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.conformal import CalibrationScores, ReleasedScores, rows_needed
from trustbench.methods.conformal.clusters import NULL, Plan, clustered, heuristic

# Third index of the `conformal` streams: who clusters, who draws U (two indices) or others.
STREAM = 4


@dataclass(frozen=True)
class ClusteredSets(ReleasedScores):
    """Split conformal sets that share a threshold among classes with like scores.

    A part of the calibration rows places the classes by the quantiles of their scores; the rest
    calibrates each cluster. Rare classes have the threshold of all rows, as has every class
    where there are no more classes than clusters. `clusters` and `fraction`, the share of rows
    that clusters, follow the paper's rule if null: it needs some dozens of rows a class and
    tens of classes before it makes two clusters.

    Reference: Ding et al. 2023, "Class-conditional conformal prediction with many classes",
    arXiv 2306.09335, section 2.
    """

    clusters: Annotated[int, Field(ge=2)] | None = None
    fraction: Annotated[float, Field(gt=0, lt=1)] | None = None

    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Ding et al. 2023, arXiv 2306.09335"
    guarantee: ClassVar[str] = "coverage of every cluster of classes"

    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        """A reason if there is nothing to cluster, else None."""
        if len(problem.classes) < 3:
            return f"the {len(problem.classes)} classes of {problem.name} leave nothing to cluster"
        return super().supports(problem, schedule)

    def rows_needed(self, own: CalibrationScores) -> int:
        """Those of the level, in the part that does not cluster; how large it is, is drawn."""
        used = 1 - max(self._plan(own, r).fraction for r in range(len(own.y)))
        return math.ceil(rows_needed(self.alpha) / used)

    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        """One threshold for each label, [R, 1, C], equal within a cluster."""
        found = []
        for r in range(system.replicates):
            rng = system.streams.numpy("conformal", r, 0, STREAM)
            found.append(clustered(own, r, self._plan(own, r), self.alpha, rng))
        null = [(c.cluster == NULL).mean() for c in found]
        return torch.stack([c.threshold for c in found])[:, None, :], {
            "clusters": max(len(set(c.cluster.tolist()) - {NULL}) for c in found),
            "null_classes": float(sum(null) / len(null)),
        }

    def _plan(self, own: CalibrationScores, r: int) -> Plan:
        counts = torch.bincount(own.y[r], minlength=own.labels.shape[-1]).cpu().numpy()
        auto = heuristic(counts, self.alpha)
        return Plan(self.fraction or auto.fraction, self.clusters or auto.clusters)
