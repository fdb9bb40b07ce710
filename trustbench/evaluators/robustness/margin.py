"""The distance of each point from misclassification: the smallest radius at which PGD flips it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import (
    PERMUTED,
    Access,
    Array,
    Evaluator,
    Measured,
    Measurement,
    Metric,
    RowRedraw,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import Norm, ThreatModel, unattackable
from trustbench.methods.attacks.evasion.minimal import at_radii, minimal_radius
from trustbench.methods.attacks.evasion.pgd import Loss, pgd
from trustbench.methods.attacks.evasion.targets import CHUNK, correct_before, generators, targets
from trustbench.methods.group_nulls import against_chance
from trustbench.methods.groups import means, means_by

GROUPS, CLASSES = ("epsilon_gap", "epsilon_worst_group"), ("epsilon_class_gap",)
CENSORED = 1.25  # a point that no attack flips counts as this many times the largest radius


@dataclass(frozen=True)
class Margin(Evaluator):
    """The smallest radius at which PGD flips each correctly classified point.

    `mean_epsilon` and `median_epsilon` are over correctly classified rows, right-censored at 1.25
    times the largest radius of `grid`; `mean_epsilon_all` counts misclassified rows as 0, so that
    no arm gains by getting hard rows wrong. `epsilon_gap` and `epsilon_worst_group` compare the
    mean over groups with at least `min_group` points, `epsilon_class_gap` over true classes; each
    comes with its null, `<name>_permuted`: the mean over random groups of the same sizes. The
    attack succeeds at each returned radius, which is an upper bound of the true distance.

    `points` is the maximum number of test rows; `steps` and `loss` are those of each PGD attack;
    `bisections` is the number of halvings of the interval between two radii of the grid.

    Reference: Tran et al. 2024, arXiv 2211.11835 (distance to the decision boundary and
    fairness); Nanda et al. 2021, arXiv 2006.12621, section 3 (its gap between groups).
    """

    norm: Norm = "linf"
    grid: Annotated[tuple[float, ...], Field(min_length=2)] = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
    bisections: Annotated[int, Field(ge=0)] = 4
    steps: Annotated[int, Field(ge=1)] = 20
    loss: Loss = "margin"
    points: Annotated[int, Field(ge=1)] = 200
    min_group: Annotated[int, Field(ge=1)] = 10

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries", "gradients"})
    reference: ClassVar[str] = "Tran et al. 2024, arXiv 2211.11835"
    metrics = (
        Metric(
            "mean_epsilon",
            "How far a correctly decided row must be moved before the decision flips.",
            "radius",
            better="higher",
            lower=0.0,
            upper="radius at which points are censored",
        ),
        Metric(
            "median_epsilon",
            "How far a typical correctly decided row must be moved before its decision flips.",
            "radius",
            better="higher",
            lower=0.0,
            upper="radius at which points are censored",
        ),
        Metric(
            "epsilon_gap",
            "How much farther rows of one group must be moved than those of another.",
            "radius",
            better="lower",
            lower=0.0,
            upper="radius at which points are censored",
            null=PERMUTED,
        ),
        Metric(
            "epsilon_worst_group",
            "How far rows must be moved in the group whose decisions flip most easily.",
            "radius",
            better="higher",
            lower=0.0,
            upper="radius at which points are censored",
            null=PERMUTED,
        ),
        Metric(
            "epsilon_class_gap",
            "How much farther rows of one class must be moved than those of another.",
            "radius",
            better="lower",
            lower=0.0,
            upper="radius at which points are censored",
            null=PERMUTED,
        ),
        Metric(
            "mean_epsilon_all",
            "How far a row must be moved before the decision is wrong; wrong ones count 0.",
            "radius",
            better="higher",
            lower=0.0,
            upper="radius at which points are censored",
        ),
        fraction(
            "censored",
            "The share of correctly decided rows that no attack flips within the largest radius.",
            better="higher",
            diagnostic=True,
        ),
    )

    def __post_init__(self) -> None:
        if list(self.grid) != sorted(set(self.grid)) or self.grid[0] <= 0:
            raise ValueError(f"grid is {self.grid}; give increasing radii above 0")

    @override
    def supports(self, system: System) -> str | None:
        return unattackable(system.problem)

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        correct = correct_before(system, at)
        radius, found = self._search(system, at.X, at.y)
        outcomes = {
            "correct": correct.cpu().numpy(),
            "radius": radius.double().cpu().numpy(),
            "found": found.double().cpu().numpy(),
        }
        y, summarised = at.y.cpu().numpy(), partial(self._summarised, system)
        return replace(
            summarised(outcomes, y, at.group),
            redraw=RowRedraw.of(outcomes, y, at.group, summarised),
        )

    def _summarised(
        self, system: System, outcomes: Mapping[str, Array], y: Array, group: Array
    ) -> Measured:
        """The numbers of outcomes [R, n] of points of these classes and groups [n]."""
        correct, found = outcomes["correct"], outcomes["found"]
        radius = np.where(found > 0, outcomes["radius"], CENSORED * self.grid[-1])
        every = np.where(correct, radius, 0.0)
        if not correct.any(axis=1).all():
            reason = "a replicate has no correct point to measure a distance from"
            return Measured(
                (self._radius("mean_epsilon_all", every.mean(1), len(y)),),
                missing=dict.fromkeys(("mean_epsilon", "median_epsilon"), reason),
            )
        least = int(correct.sum(1).min())
        censored = (correct & (found == 0)).sum(1) / correct.sum(1)
        summaries = {
            "mean_epsilon": _mean(every, correct),
            "median_epsilon": np.array(
                [np.median(r[c]) for r, c in zip(radius, correct, strict=True)]
            ),
        }
        names = {GROUPS: group, CLASSES: y}
        gaps = Measured.joined(
            self._gaps(system, every, correct, compared, of) for compared, of in names.items()
        )
        return Measured(
            measurements=(
                *(self._radius(name, v, least) for name, v in summaries.items()),
                *gaps.measurements,
                self._radius("mean_epsilon_all", every.mean(1), len(y)),
                self.measurement("censored", censored, least),
            ),
            arrays={"epsilon": every},
            facts={"norm": self.norm, "largest": self.grid[-1], "loss": self.loss},
            missing=gaps.missing,
        )

    def _search(self, system: System, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Radii and whether any was found, [R, n], a bounded number of rows at a time."""
        threat = ThreatModel.of(system.problem, self.norm, self.grid[-1], X)
        rows = max(32, CHUNK // X[0, 0].numel())
        parts = []
        for x, t in zip(torch.split(X, rows, dim=1), torch.split(y, rows), strict=True):
            fooled = partial(self._fooled, system, x, t, threat)
            like = x.flatten(2)[:, :, 0]
            parts.append(minimal_radius(fooled, self.grid, like, self.bisections))
        return torch.cat([p[0] for p in parts], 1), torch.cat([p[1] for p in parts], 1)

    def _fooled(
        self, system: System, X: Tensor, y: Tensor, threat: ThreatModel, radii: Tensor
    ) -> Tensor:
        """Which points [R, n] one PGD run fools, each within its own radius."""
        chance = generators(system, "margin")
        ball = at_radii(threat, radii)
        run = pgd(system.forward, X, y, ball, chance, steps=self.steps, loss=self.loss)
        return run.fooled

    def _gaps(
        self, system: System, every: Array, correct: Array, names: tuple[str, ...], labels: Array
    ) -> Measured:
        """Means compared over groups or classes, the `labels` of points, or why they cannot be."""
        size, right = np.bincount(labels), means(correct, labels, labels.max() + 1)
        kept = (size >= self.min_group) & (np.nan_to_num(right).min(axis=0) > 0)
        if kept.sum() < 2:
            reason = f"needs two with {self.min_group} points and a correct one in each model"
            return Measured((), missing=dict.fromkeys(names, reason))
        rows = kept[labels]
        statistics = partial(_spread, every[:, rows], correct[:, rows], kept, names)
        build = partial(self._radius, n=int(correct.sum(1).min()))
        return Measured(tuple(against_chance(build, statistics, labels[rows], system)))

    def _radius(self, name: str, values: Array, n: int) -> Measurement:
        return self.measurement(name, values, n, upper=CENSORED * self.grid[-1])


def _spread(
    every: Array, correct: Array, kept: Array, names: tuple[str, ...], groups: Array
) -> dict[str, Array]:
    """Gap and smallest, [K, R], of the mean radius of correct points in each group."""
    radius, right = (means_by(v, groups, len(kept))[..., kept] for v in (every, correct))
    # a random group may have no correct point in some model: the others are then compared
    mean = np.divide(radius, right, out=np.full(radius.shape, np.nan), where=right > 0)
    least = np.nanmin(mean, axis=-1)
    return dict(zip(names, (np.nanmax(mean, axis=-1) - least, least), strict=False))


def _mean(values: Array, rows: Array) -> Array:
    """Mean [R] of values [R, n] over rows [R, n], where values are 0 outside of them."""
    return np.asarray(values.sum(1) / rows.sum(1))
