"""Whether released prediction sets serve groups equally."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import (
    PERMUTED,
    Access,
    Array,
    Evaluator,
    Measured,
    Measurement,
    Metric,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods import conformal
from trustbench.methods.group_nulls import against_chance
from trustbench.methods.groups import cells, gap, means, means_by, sizes


@dataclass(frozen=True)
class SetSizeGap(Evaluator):
    """Gaps between groups in the information of their prediction sets.

    For every released score: `gap_<score>`, the largest difference of mean set size between two
    groups; `singleton_gap_<score>`; `coverage_gap_<score>` (Eq. 9). Each comes with its null,
    `<name>_permuted`: the same after the groups are reassigned at random (the mean of
    `permutations`), which is the effect of chance alone. Groups with fewer than `min_group` test
    rows are left out.

    `aid_gap_<score>` is the gap in what sets do for a simulated user, who answers with a label
    drawn evenly from the set, and without one from all C labels (also where the set is empty).
    A group gains E[1[y in set] / |set|] - 1 / C in accuracy; the gap is the largest difference
    of gains between two groups.

    The arrays are, for the K groups kept (`groups` [K]), the mean size `size_<score>` [R, K] and
    the number of rows with a set of each size, `rows_by_size_<score>` [R, K, C + 1].

    Reference: Cresswell et al. 2025, arXiv 2410.01888 (set size; gains of users, whom the
    simulated one replaces); Cresswell 2025, Eq. 9.
    """

    min_group: Annotated[int, Field(ge=1)] = 20
    permutations: Annotated[int, Field(ge=20)] = 50

    version: ClassVar[int] = 6
    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "set_predictors"})
    access: ClassVar[frozenset[Access]] = frozenset()
    over_rows: ClassVar[bool] = True
    reference: ClassVar[str] = "Cresswell et al. 2025, arXiv 2410.01888"
    metrics = (
        Metric(
            "gap_<score>",
            "How many more labels the prediction sets of one group hold than those of another.",
            "labels",
            better="lower",
            lower=0.0,
            upper="number of labels",
            null=PERMUTED,
        ),
        fraction(
            "singleton_gap_<score>",
            "How much more often one group gets a set of a single label than another.",
            better="lower",
            null=PERMUTED,
        ),
        fraction(
            "coverage_gap_<score>",
            "How much more often the sets of one group hold the true label than another's.",
            better="lower",
            null=PERMUTED,
        ),
        Metric(
            "aid_gap_<score>",
            "How much more prediction sets help people to answer correctly in one group than in "
            "another.",
            "accuracy",
            better="lower",
            lower=0.0,
            upper=1.0,
            null=PERMUTED,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if not system.set_predictors:
            return "needs released prediction sets (intervention=conformal)"
        if self._kept(system).sum() < 2:
            return f"needs 2 groups of {self.min_group} test rows"
        return None

    @override
    def measure(self, system: System) -> Measured:
        X, y, group = system.problem.rows("test")
        keep = self._kept(system)
        rows = keep[group]
        found: list[Measurement] = []
        missing: dict[str, str] = {}
        by_group: dict[str, Array] = {"groups": np.flatnonzero(keep)}
        classes = len(system.problem.classes)
        for score in system.set_predictors:
            sets = system.sets(system.tensor(X), score, group)
            size, cover = conformal.set_sizes(sets)[:, rows], conformal.covered(sets, y)[:, rows]
            own = list(self._gaps(system, score, size, cover, group[rows]))
            reason = conformal.uninformative(system, score, sets)
            found += own if reason is None else []
            missing |= {m.name: reason for m in own if reason is not None}
            by_group[f"size_{score}"] = means(size, group[rows], len(keep))[:, keep]
            by_group[f"rows_by_size_{score}"] = np.stack(
                [cells(group[rows], s.astype(np.int64), len(keep), classes + 1)[keep] for s in size]
            )
        left_out = [g for g, k in zip(system.problem.groups, keep, strict=True) if not k]
        return Measured(
            tuple(found),
            arrays=by_group,
            missing=missing,
            facts={
                "left_out": ", ".join(left_out) or None,
                "min_group": self.min_group,
                "permutations": self.permutations,
            },
        )

    def _kept(self, system: System) -> Array:
        group = system.problem.rows("test")[2]
        return sizes(group, len(system.problem.groups)) >= self.min_group

    def _gaps(
        self, system: System, score: str, size: Array, cover: Array, group: Array
    ) -> Iterator[Measurement]:
        present, n = np.unique(group), len(group)
        classes = len(system.problem.classes)
        parts = {
            f"gap_{score}": size,
            f"singleton_gap_{score}": size == 1,
            f"coverage_gap_{score}": cover,
            f"aid_gap_{score}": accuracy_with_aid(size, cover, classes),
        }
        upper = {f"gap_{score}": float(classes)}  # the other bounds are declared

        def statistics(groups: Array) -> dict[str, Array]:
            return {
                name: gap(means_by(values, groups, present[-1] + 1)[..., present])
                for name, values in parts.items()
            }

        def build(name: str, values: Array) -> Measurement:
            return self.measurement(name, values, n, upper=upper.get(name))

        return against_chance(build, statistics, group, system, self.permutations)


def accuracy_with_aid(size: Array, cover: Array, classes: int) -> Array:
    """Accuracy of a user who draws a label evenly from the set: [R, n].

    An empty set does not help: the user draws from all `classes` labels.

    >>> size, cover = np.array([[1.0, 2.0, 2.0, 0.0]]), np.array([[1.0, 1.0, 0.0, 0.0]])
    >>> accuracy_with_aid(size, cover, 4).tolist()
    [[1.0, 0.5, 0.0, 0.25]]
    """
    return np.where(size > 0, cover / np.maximum(size, 1), 1 / classes)
