"""Example weights that make group and label independent in the training pool."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from typing_extensions import override

from trustbench.contracts import Array, Intervention, Problem, Read, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.methods.groups import cells


@dataclass(frozen=True)
class KamiranCalders(Intervention):
    """Reweighing: the weight of an example is P(g) P(y) / P(g, y), its cell's expected share.

    Probabilities are those of the whole training pool, which a claim under DP can take as public;
    those of a half differ by one row per cell. Unlike with
    equal cells (`balanced_weights`), groups and labels keep their shares. The weights remove only
    their association, so a weak association leads to a mild correction.

    Reference: Kamiran and Calders 2012, doi 10.1007/s10115-011-0463-8 (reweighing).
    """

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = (Read("pool", "the size of each group and label", into="training"),)
    reference: ClassVar[str] = "Kamiran and Calders 2012, doi 10.1007/s10115-011-0463-8"
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "train"

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        if (_cells(problem) > 0).sum(axis=1).max() > 1:
            return None
        return (
            f"every group ({problem.group_name}) of {problem.name} has one label only, so group "
            "and label cannot be made independent"
        )

    def weights(self, problem: Problem, members: Array) -> Array:
        """Weights [m], whose mean over the pool is 1.

        No weight can give an empty cell its expected share; the others are rescaled.
        """
        _, y, group = problem.rows("train")
        count = _cells(problem)
        expected = count.sum(axis=1)[group] * count.sum(axis=0)[y] / len(y)
        weights = expected / count[group, y]
        return np.asarray(weights / weights.mean())[members]


def _cells(problem: Problem) -> Array:
    _, y, group = problem.rows("train")
    return cells(group, y, len(problem.groups), len(problem.classes))
