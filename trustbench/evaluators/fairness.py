"""Group fairness of the deployed decisions."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from trustbench.aspects import Aspect
from trustbench.contracts import Array, Evaluator, Fact, Measured, Measurement, Problem, System
from trustbench.groups import gap, means, sizes

BINARY = ("eo_gap", "dp_gap", "dp_ratio")


@dataclass(frozen=True)
class Fairness(Evaluator):
    """How unequal decisions are between groups of the test set.

    Primary is `acc_gap`, the largest difference of accuracy between two groups (Cresswell 2025,
    Eq. 1). On two classes also `eo_gap` (the larger of the gaps in true and false positive
    rates; class 1 is favourable), `dp_gap` and `dp_ratio` (positive decisions; the ratio is that
    of the four-fifths rule). `worst_group_acc` is the lowest group accuracy, `class_sd` the
    standard deviation of the classes' recalls.

    A group of fewer than `min_group` test rows, and for `eo_gap` one with fewer than `min_cell`
    rows of either class, is left out and named in the facts: the maximum over groups is biased
    upwards by noise. Compare arms, not levels.

    Reference: Cresswell 2025, Eq. 1; Hardt et al. 2016, arXiv 1610.02413 (equalised odds).
    """

    min_group: Annotated[int, Field(ge=1)] = 20
    min_cell: Annotated[int, Field(ge=1)] = 10

    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider"})
    reference: ClassVar[str] = "Cresswell 2025, Eq. 1; Hardt et al. 2016, arXiv 1610.02413"

    def measure(self, system: System) -> Measured:
        """The gaps, `acc_gap` first; what this task cannot give is missing with its reason."""
        problem = system.problem
        X, y, group = problem.rows("test")
        if system.decider is None:
            decided = system.split_logits("test").argmax(-1).cpu().numpy()
        else:
            decided = system.decide(system.tensor(X), group).cpu().numpy()
        count = sizes(group, len(problem.groups))
        found = _Found(facts={f"n_{g}": int(k) for g, k in zip(problem.groups, count, strict=True)})
        large = self._large(problem, count, found)
        self._accuracy(problem, decided == y, large, found)
        if problem.binary:
            self._decisions(problem, decided, large, found)
            self._odds(problem, decided, large, found)
        else:
            found.lack(BINARY, f"needs two classes; this task has {len(problem.classes)}")
        return Measured(
            tuple(found.measurements),
            arrays={"group_accuracy": means(decided == y, group, len(problem.groups))},
            facts=found.facts,
            missing=found.missing,
        )

    def _large(self, problem: Problem, count: Array, found: "_Found") -> Array:
        """Which groups have enough test rows: bool [G]."""
        large = np.asarray(count >= self.min_group)
        found.facts["min_group"] = self.min_group
        found.facts["left_out"] = _names(problem.groups, ~large)
        return large

    def _accuracy(self, problem: Problem, hit: Array, large: Array, found: "_Found") -> None:
        _, y, group = problem.rows("test")
        if large.sum() > 1:
            accuracy = means(hit, group, len(large))[:, large]
            n = int(large[group].sum())
            found.add("acc_gap", gap(accuracy), n)
            found.add("worst_group_acc", accuracy.min(axis=1), n, better=True)
        else:
            found.lack(("acc_gap", "worst_group_acc"), self._too_few())
        common = sizes(y, len(problem.classes)) >= self.min_group
        if common.sum() > 1:
            recall = means(hit, y, len(common))[:, common]
            found.add("class_sd", recall.std(axis=1), int(common[y].sum()), upper=0.5)
        else:
            found.lack(("class_sd",), f"needs 2 classes of at least {self.min_group} test rows")

    def _decisions(self, problem: Problem, decided: Array, large: Array, found: "_Found") -> None:
        group = problem.rows("test")[2]
        if large.sum() < 2:
            found.lack(("dp_gap", "dp_ratio"), self._too_few())
            return
        rate, n = means(decided, group, len(large))[:, large], int(large[group].sum())
        found.add("dp_gap", gap(rate), n)
        if (rate.max(axis=1) == 0).any():
            found.lack(("dp_ratio",), "is 0 / 0: some replicate decides for nobody")
            return
        found.add("dp_ratio", rate.min(axis=1) / rate.max(axis=1), n, better=True, unit="ratio")

    def _odds(self, problem: Problem, decided: Array, large: Array, found: "_Found") -> None:
        _, y, group = problem.rows("test")
        n_groups = len(problem.groups)
        cells = np.stack([sizes(group[y == label], n_groups) for label in (0, 1)])
        large = large & (cells >= self.min_cell).all(axis=0)
        found.facts["min_cell"] = self.min_cell
        found.facts["eo_left_out"] = _names(problem.groups, ~large)
        if large.sum() < 2:
            found.lack(
                ("eo_gap",),
                f"{self._too_few()}, at least {self.min_cell} of each class",
            )
            return
        fpr, tpr = (
            means(decided[:, y == label], group[y == label], n_groups)[:, large] for label in (0, 1)
        )
        found.add("eo_gap", np.maximum(gap(tpr), gap(fpr)), int(cells[:, large].sum()))

    def _too_few(self) -> str:
        return f"needs 2 groups of at least {self.min_group} test rows"


@dataclass
class _Found:
    """Measurements, facts and reasons as they come in."""

    facts: dict[str, Fact]
    measurements: list[Measurement] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        name: str,
        values: Array,
        n: int,
        *,
        better: bool = False,
        unit: str = "fraction",
        upper: float = 1.0,
    ) -> None:
        self.measurements.append(Measurement(name, values, better, unit, n, lower=0.0, upper=upper))

    def lack(self, names: tuple[str, ...], reason: str) -> None:
        self.missing |= {name: f"{name} {reason}" for name in names}


def _names(names: tuple[str, ...], chosen: Array) -> str | None:
    return ", ".join(name for name, c in zip(names, chosen, strict=True) if c) or None
