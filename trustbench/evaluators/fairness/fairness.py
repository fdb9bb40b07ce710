"""Group fairness of the deployed decisions."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from trustbench.contracts import Array, Evaluator, Fact, Measured, Measurement, Problem, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.group_nulls import Statistics, against_chance
from trustbench.methods.groups import gap, means, means_by, sizes

HIGHER = frozenset({"worst_group_acc", "dp_ratio"})
UNITS = {"dp_ratio": "ratio"}
UPPER = {"class_sd": 0.5}
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
    rows of either class, is left out and named in the facts. A maximum over groups is above zero
    by noise alone, so each of these stands beside its null, `<name>_permuted`: the mean over
    random groups of the same sizes, of the same rows (of the classes for `class_sd`). For
    `eo_gap`, which is conditional on the label, rows change groups within their label: decisions
    may then differ between groups by their labels alone.

    Reference: Cresswell 2025, Eq. 1; Hardt et al. 2016, arXiv 1610.02413 (equalised odds).
    """

    min_group: Annotated[int, Field(ge=1)] = 20
    min_cell: Annotated[int, Field(ge=1)] = 10

    version: ClassVar[int] = 2
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
        found = _Found(system)
        found.facts |= {f"n_{g}": int(k) for g, k in zip(problem.groups, count, strict=True)}
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
            kept = large[group]

            def by_group(groups: Array) -> dict[str, Array]:
                accuracy = means_by(hit[:, kept], groups, len(large))[..., large]
                return {"acc_gap": gap(accuracy), "worst_group_acc": accuracy.min(axis=-1)}

            found.extremes(by_group, group[kept])
        else:
            found.lack(("acc_gap", "worst_group_acc"), self._too_few())
        common = sizes(y, len(problem.classes)) >= self.min_group
        if common.sum() > 1:
            rows = common[y]

            def by_class(labels: Array) -> dict[str, Array]:
                recall = means_by(hit[:, rows], labels, len(common))[..., common]
                return {"class_sd": recall.std(axis=-1)}

            found.extremes(by_class, y[rows])
        else:
            found.lack(("class_sd",), f"needs 2 classes of at least {self.min_group} test rows")

    def _decisions(self, problem: Problem, decided: Array, large: Array, found: "_Found") -> None:
        group = problem.rows("test")[2]
        if large.sum() < 2:
            found.lack(("dp_gap", "dp_ratio"), self._too_few())
            return
        rate, kept = means(decided, group, len(large))[:, large], large[group]
        nobody = bool((rate.max(axis=1) == 0).any())

        def statistics(groups: Array) -> dict[str, Array]:
            rate = means_by(decided[:, kept], groups, len(large))[..., large]
            both = {"dp_gap": gap(rate)}
            return both if nobody else both | {"dp_ratio": rate.min(axis=-1) / rate.max(axis=-1)}

        found.extremes(statistics, group[kept])
        if nobody:
            found.lack(("dp_ratio",), "is 0 / 0: some replicate decides for nobody")

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
        kept = large[group]
        sides = [y[kept] == label for label in (0, 1)]

        def statistics(groups: Array) -> dict[str, Array]:
            fpr, tpr = (
                gap(means_by(decided[:, kept][:, side], groups[:, side], n_groups)[..., large])
                for side in sides
            )
            return {"eo_gap": np.maximum(tpr, fpr)}

        found.extremes(statistics, group[kept], within=y[kept])

    def _too_few(self) -> str:
        return f"needs 2 groups of at least {self.min_group} test rows"


@dataclass
class _Found:
    """Measurements, facts and reasons as they come in."""

    system: System
    facts: dict[str, Fact] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def extremes(self, statistics: Statistics, of: Array, within: Array | None = None) -> None:
        """Statistics of a grouping `of` the rows, each beside what random groups show."""

        def build(name: str, values: Array) -> Measurement:
            unit, upper = UNITS.get(name, "fraction"), UPPER.get(name, 1.0)
            return Measurement(name, values, name in HIGHER, unit, len(of), lower=0.0, upper=upper)

        self.measurements += against_chance(build, statistics, of, self.system, within=within)

    def lack(self, names: tuple[str, ...], reason: str) -> None:
        self.missing |= {name: f"{name} {reason}" for name in names}


def _names(names: tuple[str, ...], chosen: Array) -> str | None:
    return ", ".join(name for name, c in zip(names, chosen, strict=True) if c) or None
