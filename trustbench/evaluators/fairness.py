"""Group fairness of the deployed decisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field

from trustbench.aspects import Aspect
from trustbench.contracts import Array, Evaluator, Fact, Measured, Measurement, Problem, System
from trustbench.groups import gap, means, sizes

BINARY = ("eo_gap", "dp_gap", "dp_ratio")


class Counted(NamedTuple):
    """A per-group rate [R, G] over the groups that are large enough."""

    rates: Array
    kept: tuple[str, ...]
    left_out: tuple[str, ...]
    n: int


@dataclass(frozen=True)
class Fairness(Evaluator):
    """How unequal decisions are between groups of the test set.

    Primary is `acc_gap`, the largest difference of accuracy between two groups (Cresswell 2025,
    Eq. 1). On two classes also `eo_gap` (the larger of the gaps in true and false positive
    rates; class 1 is favourable), `dp_gap` and `dp_ratio` (positive decisions; the ratio is that
    of the four-fifths rule). `worst_group_acc` is the lowest group accuracy, `class_sd` the
    standard deviation of the classes' recalls.

    A rate of fewer than `min_group` test rows is left out and named in the facts: the maximum
    over groups is biased upwards by noise. Compare arms, not levels.

    Reference: Cresswell 2025, Eq. 1; Hardt et al. 2016, arXiv 1610.02413 (equalised odds).
    """

    min_group: Annotated[int, Field(ge=1)] = 20

    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reference: ClassVar[str] = "Cresswell 2025, Eq. 1; Hardt et al. 2016, arXiv 1610.02413"

    def measure(self, system: System) -> Measured:
        """The gaps, `acc_gap` first; what this task cannot give is missing with its reason."""
        problem = system.problem
        X, y, group = problem.rows("test")
        if system.decider is None:
            decided = system.split_logits("test").argmax(-1).cpu().numpy()
        else:
            decided = system.decide(system.tensor(X), group).cpu().numpy()
        found = _Found()
        self._accuracy(problem, decided == y, found)
        if problem.binary:
            self._binary(problem, decided, found)
        else:
            reason = f"needs two classes; this task has {len(problem.classes)}"
            found.missing |= {name: f"{name} {reason}" for name in BINARY}
        return Measured(
            tuple(found.measurements),
            arrays={"group_accuracy": means(decided == y, group, len(problem.groups))},
            facts={**_group_sizes(problem, group), **found.facts, "min_group": self.min_group},
            missing=found.missing,
        )

    def _accuracy(self, problem: Problem, hit: Array, found: "_Found") -> None:
        _, y, group = problem.rows("test")
        everybody = np.full(len(y), True)
        accuracy = self._rates(hit, group, everybody, problem.groups)
        if found.gap("acc_gap", accuracy):
            found.add("worst_group_acc", accuracy.rates.min(axis=1), accuracy.n, better=True)
        else:
            found.missing["worst_group_acc"] = found.missing["acc_gap"]
        recall = self._rates(hit, y, everybody, problem.classes)
        if len(recall.kept) > 1:
            found.add("class_sd", recall.rates.std(axis=1), recall.n, upper=0.5)
        else:
            found.missing["class_sd"] = f"class_sd needs 2 classes of {self.min_group} test rows"

    def _binary(self, problem: Problem, decided: Array, found: "_Found") -> None:
        _, y, group = problem.rows("test")
        tpr = self._rates(decided, group, y == 1, problem.groups)
        fpr = self._rates(decided, group, y == 0, problem.groups)
        if len(tpr.kept) > 1 and len(fpr.kept) > 1:
            odds = np.maximum(gap(tpr.rates), gap(fpr.rates))
            found.add("eo_gap", odds, tpr.n + fpr.n)
            found.facts["eo_left_out"] = _names(sorted({*tpr.left_out, *fpr.left_out}))
        else:
            found.missing["eo_gap"] = (
                f"eo_gap needs 2 groups with {self.min_group} test rows of each class"
            )
        chosen = self._rates(decided, group, np.full(len(y), True), problem.groups)
        if not found.gap("dp_gap", chosen):
            found.missing["dp_ratio"] = found.missing["dp_gap"]
        elif (chosen.rates.max(axis=1) == 0).any():
            found.missing["dp_ratio"] = "some replicate decides for nobody, so dp_ratio is 0 / 0"
        else:
            ratio = chosen.rates.min(axis=1) / chosen.rates.max(axis=1)
            found.add("dp_ratio", ratio, chosen.n, better=True, unit="ratio")

    def _rates(self, values: Array, group: Array, rows: Array, names: tuple[str, ...]) -> Counted:
        """The mean of values [R, n] per group over some rows, without groups that are too small."""
        count = sizes(group[rows], len(names))
        keep = count >= self.min_group
        return Counted(
            means(values[:, rows], group[rows], len(names))[:, keep],
            tuple(g for g, k in zip(names, keep, strict=True) if k),
            tuple(g for g, k in zip(names, keep, strict=True) if not k),
            int(count[keep].sum()),
        )


@dataclass
class _Found:
    """Measurements, facts and reasons as they come in."""

    measurements: list[Measurement] = field(default_factory=list)
    facts: dict[str, Fact] = field(default_factory=dict)
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

    def gap(self, name: str, counted: Counted) -> bool:
        """Adds the gap of a rate between groups, or the reason why there is none."""
        self.facts["left_out"] = _names(counted.left_out)
        if len(counted.kept) < 2:
            self.missing[name] = (
                f"{name} needs 2 groups of min_group test rows; large enough: "
                f"{_names(counted.kept) or 'none'}"
            )
            return False
        self.add(name, gap(counted.rates), counted.n)
        return True


def _names(names: Sequence[str]) -> str | None:
    return ", ".join(names) or None


def _group_sizes(problem: Problem, group: Array) -> Mapping[str, Fact]:
    count = sizes(group, len(problem.groups))
    return {f"n_{name}": int(k) for name, k in zip(problem.groups, count, strict=True)}
