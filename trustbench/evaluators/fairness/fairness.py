"""Group fairness of the deployed decisions."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import (
    PERMUTED,
    Access,
    Array,
    Evaluator,
    Fact,
    Measured,
    Metric,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.group_nulls import OfShares, against_chance
from trustbench.methods.groups import gap, means, sizes

BINARY = ("eo_gap", "dp_gap", "dp_ratio")


@dataclass(frozen=True)
class Fairness(Evaluator):
    """How unequal decisions are between groups of the test set.

    Primary is `acc_gap`, the largest difference of accuracy between two groups (Cresswell 2025,
    Eq. 1). Where decisions are favourable or not (class 1 of two is; of more, those that are
    declared) also `eo_gap` (the larger of the gaps in true and false positive rates), `dp_gap` and
    `dp_ratio` (positive decisions; the ratio is that of the four-fifths rule). `worst_group_acc` is
    the lowest group accuracy, `class_sd` the standard deviation of the classes' recalls.

    A group with fewer than `min_group` test rows, or for `eo_gap` with fewer than `min_cell` rows
    of either class, is left out and named in the facts. A maximum over groups is above zero by
    noise alone, so each of these comes with its null, `<name>_permuted`: the mean over random
    groups of the same sizes, of the same rows (of the classes for `class_sd`). For `eo_gap`, which
    is conditional on the label, rows change groups within their label, since decisions may differ
    between groups merely through their labels.

    A system that abstains is neither right nor favourable on the rows that it leaves undecided.

    Reference: Cresswell 2025, Eq. 1; Hardt et al. 2016, arXiv 1610.02413 (equalised odds).
    """

    min_group: Annotated[int, Field(ge=1)] = 20
    min_cell: Annotated[int, Field(ge=1)] = 10

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider"})
    takes_abstention: ClassVar[bool] = True
    access: ClassVar[frozenset[Access]] = frozenset()
    over_rows: ClassVar[bool] = True
    reference: ClassVar[str] = "Cresswell 2025, Eq. 1; Hardt et al. 2016, arXiv 1610.02413"
    metrics = (
        fraction(
            "acc_gap",
            "How much less accurate decisions are for the worst-served group than for the best.",
            better="lower",
            null=PERMUTED,
        ),
        fraction(
            "worst_group_acc",
            "The accuracy of decisions for the group that they serve worst.",
            better="higher",
            null=PERMUTED,
        ),
        Metric(
            "class_sd",
            "How unequal the classes are in the share of their rows that is recognised.",
            "fraction",
            better="lower",
            lower=0.0,
            upper=0.5,
            null=PERMUTED,
        ),
        fraction(
            "dp_gap",
            "How much more often one group gets the favourable decision than another.",
            better="lower",
            null=PERMUTED,
        ),
        Metric(
            "dp_ratio",
            "How often the least favoured group gets the favourable decision, per time that the "
            "most favoured one does.",
            "ratio",
            better="higher",
            lower=0.0,
            upper=1.0,
            null=PERMUTED,
        ),
        fraction(
            "eo_gap",
            "How much more often one group is wrongly refused, or wrongly accepted, than another.",
            better="lower",
            null=PERMUTED,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        problem = system.problem
        X, y, group = problem.rows("test")
        if system.decider is None:
            decided = system.split_logits("test").argmax(-1).cpu().numpy()
        else:
            decided = system.decide(system.tensor(X), group).cpu().numpy()
        count = sizes(group, len(problem.groups))
        large = np.asarray(count >= self.min_group)
        facts: dict[str, Fact] = {
            **{f"n_{g}": int(k) for g, k in zip(problem.groups, count, strict=True)},
            "min_group": self.min_group,
            "left_out": _names(problem.groups, ~large),
        }
        accuracy = means(decided == y, group, len(problem.groups))
        parts = [
            Measured((), arrays={"group_accuracy": accuracy}, facts=facts),
            self._accuracy(system, decided == y, large),
            self._recalls(system, decided == y),
        ]
        good = problem.favourable
        if good is None:
            reason = (
                "needs two classes, or favourable ones that are declared; this task has "
                f"{len(problem.classes)}"
            )
            parts.append(Measured.unmeasured(BINARY, reason))
        else:
            good = np.append(good, False)  # at ABSTAIN: to abstain favours nobody
            parts += [
                self._decisions(system, good[decided], large),
                self._odds(system, good[decided], good[y].astype(np.int64), large),
            ]
        return Measured.joined(parts)

    def _accuracy(self, system: System, hit: Array, large: Array) -> Measured:
        if large.sum() < 2:
            return Measured.unmeasured(("acc_gap", "worst_group_acc"), self._too_few())
        group = system.problem.rows("test")[2]
        kept = large[group]

        def by_group(shares: Array) -> dict[str, Array]:
            accuracy = shares[..., 0, :][..., large]
            return {"acc_gap": gap(accuracy), "worst_group_acc": accuracy.min(axis=-1)}

        return self._extremes(system, OfShares(hit[:, kept], len(large), by_group), group[kept])

    def _recalls(self, system: System, hit: Array) -> Measured:
        y = system.problem.rows("test")[1]
        common = sizes(y, len(system.problem.classes)) >= self.min_group
        if common.sum() < 2:
            reason = f"needs 2 classes of at least {self.min_group} test rows"
            return Measured.unmeasured(("class_sd",), reason)
        rows = common[y]

        def by_class(shares: Array) -> dict[str, Array]:
            return {"class_sd": shares[..., 0, :][..., common].std(axis=-1)}

        return self._extremes(system, OfShares(hit[:, rows], len(common), by_class), y[rows])

    def _decisions(self, system: System, favoured: Array, large: Array) -> Measured:
        """`favoured` says which decisions are favourable, bool [R, n]."""
        if large.sum() < 2:
            return Measured.unmeasured(("dp_gap", "dp_ratio"), self._too_few())
        group = system.problem.rows("test")[2]
        rate, kept = means(favoured, group, len(large))[:, large], large[group]
        nobody = bool((rate.max(axis=1) == 0).any())

        def by_group(shares: Array) -> dict[str, Array]:
            rate = shares[..., 0, :][..., large]
            both = {"dp_gap": gap(rate)}
            return both if nobody else both | {"dp_ratio": rate.min(axis=-1) / rate.max(axis=-1)}

        statistics = OfShares(favoured[:, kept], len(large), by_group)
        found = self._extremes(system, statistics, group[kept])
        if not nobody:
            return found
        reason = "is 0 / 0: some replicate decides for nobody"
        return Measured.joined([found, Measured.unmeasured(("dp_ratio",), reason)])

    def _odds(self, system: System, favoured: Array, y: Array, large: Array) -> Measured:
        """`y` is 1 for rows of a favourable class and 0 for others, int64 [n]."""
        group = system.problem.rows("test")[2]
        names = system.problem.groups
        cells = np.stack([sizes(group[y == label], len(names)) for label in (0, 1)])
        large = large & (cells >= self.min_cell).all(axis=0)
        facts = {"min_cell": self.min_cell, "eo_left_out": _names(names, ~large)}
        declared = Measured((), facts=facts)
        if large.sum() < 2:
            reason = f"{self._too_few()}, at least {self.min_cell} of each class"
            return Measured.joined([declared, Measured.unmeasured(("eo_gap",), reason)])
        kept = large[group]

        def by_group(shares: Array) -> dict[str, Array]:
            return {"eo_gap": gap(shares[..., large]).max(axis=-1)}

        statistics = OfShares(favoured[:, kept], len(names), by_group, y[kept])
        found = self._extremes(system, statistics, group[kept], within=y[kept])
        return Measured.joined([declared, found])

    def _extremes(
        self, system: System, statistics: OfShares, grouping: Array, within: Array | None = None
    ) -> Measured:
        """Statistics of a `grouping` of the rows, each beside what random groups show."""
        build = partial(self.measurement, n=len(grouping))
        return Measured(tuple(against_chance(build, statistics, grouping, system, within=within)))

    def _too_few(self) -> str:
        return f"needs 2 groups of at least {self.min_group} test rows"


def _names(names: tuple[str, ...], chosen: Array) -> str | None:
    return ", ".join(name for name, c in zip(names, chosen, strict=True) if c) or None
