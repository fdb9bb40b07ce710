"""Whether released prediction sets serve groups equally."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from trustbench import conformal
from trustbench.aspects import Aspect
from trustbench.contracts import Array, Evaluator, Measured, Measurement, System
from trustbench.groups import gap, means, permuted, sizes


@dataclass(frozen=True)
class SetSizeGap(Evaluator):
    """Gaps between groups in what their prediction sets tell them.

    For every released score: `gap_<score>`, the largest difference of mean set size between two
    groups; `gap_<score>_permuted`, the same after the groups are reassigned at random (the mean
    of `permutations`), which is what chance alone gives; `singleton_gap_<score>`;
    `coverage_gap_<score>` (Eq. 9). Groups of fewer than `min_group` test rows are left out.

    Reference: Cresswell et al. 2025, arXiv 2410.01888 (set size); Cresswell 2025, Eq. 9.
    """

    min_group: Annotated[int, Field(ge=1)] = 20
    permutations: Annotated[int, Field(ge=20)] = 50

    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "set_predictors"})
    reference: ClassVar[str] = "Cresswell et al. 2025, arXiv 2410.01888"

    def supports(self, system: System) -> str | None:
        """None, or that there are no sets or fewer than two large groups to compare."""
        if not system.set_predictors:
            return "needs released prediction sets (intervention=conformal)"
        if self._kept(system).sum() < 2:
            return f"needs 2 groups of {self.min_group} test rows"
        return None

    def measure(self, system: System) -> Measured:
        """Four measurements per released score."""
        X, y, group = system.problem.rows("test")
        keep = self._kept(system)
        rows = keep[group]
        found: list[Measurement] = []
        by_group: dict[str, Array] = {}
        for score in system.set_predictors:
            sets = system.sets(system.tensor(X), score, group)
            size, cover = conformal.set_sizes(sets)[:, rows], conformal.covered(sets, y)[:, rows]
            found += self._gaps(system, score, size, cover, group[rows])
            by_group[f"size_{score}"] = means(size, group[rows], len(keep))[:, keep]
        left_out = [g for g, k in zip(system.problem.groups, keep, strict=True) if not k]
        return Measured(
            tuple(found),
            arrays=by_group,
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
        present = np.unique(group)

        def spread(values: Array) -> Array:
            return gap(means(values, group, present[-1] + 1)[..., present])

        n, classes = len(group), float(len(system.problem.classes))
        null = np.array(
            [
                permuted(spread, row, system.streams.numpy("controls", r), self.permutations)
                for r, row in enumerate(size)
            ]
        )
        yield _gap(f"gap_{score}", spread(size), "labels", n, classes)
        yield _gap(f"gap_{score}_permuted", null, "labels", n, classes, diagnostic=True)
        yield _gap(f"singleton_gap_{score}", spread(size == 1), "fraction", n, 1.0)
        yield _gap(f"coverage_gap_{score}", spread(cover), "fraction", n, 1.0)


def _gap(
    name: str, values: Array, unit: str, n: int, upper: float, diagnostic: bool = False
) -> Measurement:
    return Measurement(
        name,
        values,
        higher_is_better=False,
        unit=unit,
        n=n,
        lower=0.0,
        upper=upper,
        diagnostic=diagnostic,
    )
