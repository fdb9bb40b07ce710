"""A stress test of training: cells of the training data are missing and imputed."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, Feature, Intervention, Problem, Read, Schedule, Streams
from trustbench.contracts.aspects import Aspect
from trustbench.errors import did_you_mean
from trustbench.methods.missing import Imputer, Incomplete, Mechanism, imputed, medians, missing
from trustbench.methods.sensitive_inputs import sensitive


@dataclass(frozen=True)
class MissingData(Intervention):
    """Removes cells of the pool and of the validation rows, and imputes them. A stress test.

    Every feature but the sensitive attribute loses a share `rate` of its cells: at random (`mcar`),
    among the rows of `group` only (`mar`; null: the smallest of the pool), or among values above
    the median and all but the most frequent level (`mnar`). `imputer` is fitted on what is left of
    the pool. `missing_seed` draws the cells: all arms and replicates lose the same, and a larger
    rate adds cells to a smaller one. Test and calibration rows are complete.

    Reference: Rubin 1976, Biometrika 63(3); Zhang and Long 2021, arXiv 2110.12002 (imputation can
    leave one group worse off).
    """

    mechanism: Mechanism = "mcar"
    rate: Annotated[float, Field(gt=0, lt=1)] = 0.3
    imputer: Imputer = "mean"
    group: str | None = None
    missing_seed: Annotated[int, Field(ge=0)] = 0

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (Read("pool", "what stands in for missing cells", into="training"),)
    reference: ClassVar[str] = "Rubin 1976, Biometrika 63(3)"
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "train"
    dose: ClassVar[tuple[str, ...]] = ("rate",)

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        if self.group is not None and self.group not in problem.groups:
            hint = did_you_mean(self.group, problem.groups)
            return f"{problem.name} has no group {self.group!r}; {hint}"
        if self.group is not None and self.mechanism != "mar":
            return f"mechanism={self.mechanism} loses cells of every group; leave `group` null"
        if not _features(problem):
            return f"{problem.name} has no input beside the sensitive attribute"
        return None

    @override
    def inputs(self, problem: Problem, split: Literal["train", "validation"]) -> Array:
        pool, rows = self.table(problem, "train"), self.table(problem, split)
        filled = imputed(pool, rows, _features(problem), self.imputer)
        return filled.reshape(-1, *problem.shape)

    def table(self, problem: Problem, split: Literal["train", "validation"]) -> Incomplete:
        """The rows of a split and their missing cells."""
        features = _features(problem)
        pool = _flat(problem, "train")
        X, group = _flat(problem, split), problem.rows(split)[2]
        affected = group == self._group(problem)
        rng = Streams(self.missing_seed).numpy("data", f"missing_{split}")
        typical = medians(pool, features)
        lost = missing(X, features, self.mechanism, self.rate, affected, rng, typical)
        return Incomplete(X, lost)

    def _group(self, problem: Problem) -> int:
        if self.group is not None:
            return problem.groups.index(self.group)
        return int(np.bincount(problem.rows("train")[2]).argmin())


def _flat(problem: Problem, split: Literal["train", "validation"]) -> Array:
    X = problem.rows(split)[0]
    return X.reshape(len(X), -1)


def _features(problem: Problem) -> tuple[Feature, ...]:
    """The features that may go missing: all but the sensitive ones."""
    kept = sensitive(problem)
    return tuple(f for f in problem.features if f not in kept)
