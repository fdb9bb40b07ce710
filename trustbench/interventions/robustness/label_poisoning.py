"""A stress test of training: some labels of one group are flipped."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, Intervention, Problem, Read, Schedule, Streams
from trustbench.contracts.aspects import Aspect
from trustbench.errors import did_you_mean


@dataclass(frozen=True)
class LabelPoisoning(Intervention):
    """Flips the labels of a `share` of the rows of one group and label. A stress test.

    `group` (null: the smallest of the pool) and `label` (null: class 1 of two, else the most
    frequent of the group) name the poisoned cell. A poisoned row gets the next class, which with
    two classes is the other one. `poison_seed` draws the rows from the whole pool: all arms and
    replicates share the same poison, and a larger share adds rows to a smaller one.

    All of training sees the flipped labels, fairness constraints included. Validation rows stay
    clean.

    Reference: Chang et al. 2020, arXiv 2006.08669 (adversarial labelling).
    """

    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    group: str | None = None
    label: str | None = None
    poison_seed: Annotated[int, Field(ge=0)] = 0

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (Read("pool", "the rows of the poisoned group", into="training"),)
    reference: ClassVar[str] = "Chang et al. 2020, arXiv 2006.08669"
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "train"
    dose: ClassVar[tuple[str, ...]] = ("share",)

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        for word, given, names in (
            ("group", self.group, problem.groups),
            ("label", self.label, problem.classes),
        ):
            if given is not None and given not in names:
                return f"{problem.name} has no {word} {given!r}; {did_you_mean(given, names)}"
        if not len(self.flipped(problem)):
            return f"share={self.share:g} of the poisoned cell is below a row; give a larger share"
        return None

    def flipped(self, problem: Problem) -> Array:
        """The poisoned rows as positions in the training pool: int64 [k], in the order drawn."""
        _, y, group = problem.rows("train")
        g = self._group(problem)
        cell = np.flatnonzero((group == g) & (y == self._label(problem, g)))
        order = Streams(self.poison_seed).numpy("data", "poison").permutation(cell)
        return order[: round(self.share * len(cell))]

    def labels(self, problem: Problem) -> Array:
        """The labels [n_pool] of the poisoned pool."""
        y = problem.rows("train")[1].copy()
        rows = self.flipped(problem)
        y[rows] = (y[rows] + 1) % len(problem.classes)
        return y

    def _group(self, problem: Problem) -> int:
        if self.group is not None:
            return problem.groups.index(self.group)
        return int(np.bincount(problem.rows("train")[2]).argmin())

    def _label(self, problem: Problem, group: int) -> int:
        if self.label is not None:
            return problem.classes.index(self.label)
        if problem.binary:
            return 1
        _, y, of = problem.rows("train")
        return int(np.bincount(y[of == group]).argmax())
