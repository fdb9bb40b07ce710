"""Leaves out the rows that are worth least to their neighbours."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, Intervention, Problem, Read
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.poisoning.suspicion import shapley, weights


@dataclass(frozen=True)
class KNNShapley(Intervention):
    """Trains without the `share` of rows of lowest Shapley value for a nearest-neighbour vote.

    The value of a row is what it adds to the share of right votes of the `neighbours` nearest rows
    on validation rows, averaged over all orders in which rows could have come. Needs no model:
    distances are between inputs. `rows` is the maximum number of validation rows. Valued on
    the test rows, as published code does, the method would choose what it is judged by.

    Reference: Jia et al. 2019, arXiv 1908.08619, theorem 1.
    """

    share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    neighbours: Annotated[int, Field(ge=1)] = 5
    rows: Annotated[int, Field(ge=1)] = 500

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (
        Read("members", "the values of other rows", into="training"),
        Read("validation", "the votes that each row improves", into="training"),
    )
    reference: ClassVar[str] = "Jia et al. 2019, arXiv 1908.08619"
    dose: ClassVar[tuple[str, ...]] = ("share",)

    @override
    def weights(self, problem: Problem, members: Array) -> Array:
        X, y, _ = problem.rows("train")
        R, t, _ = problem.rows("validation")
        value = shapley(
            X[members].reshape(len(members), -1).astype(np.float64),
            y[members],
            R[: self.rows].reshape(len(R[: self.rows]), -1).astype(np.float64),
            t[: self.rows],
            neighbours=self.neighbours,
        )
        drop = np.argsort(value, kind="stable")[: round(self.share * len(members))]
        kept = np.ones(len(members), dtype=bool)
        kept[drop] = False
        return weights(kept)
