"""Removes from every input what a linear function of the sensitive attribute explains."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Array, Intervention, Learnt, Problem, Read, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.sensitive_inputs import not_among_inputs, sensitive_columns


@dataclass(frozen=True)
class CorrelationRemoval(Intervention):
    """Replaces inputs by their residuals of a regression on the sensitive attribute.

    Each other column x becomes x - alpha (s - mean(s)) b, with the least-squares coefficients b and
    the mean of the training pool; the columns of the attribute s are set to 0. With `alpha` 1 no
    column of the pool correlates with s. Dependence beyond the linear stays, and other rows, which
    are mapped by the same coefficients, keep some correlation. Columns of categories then hold
    numbers other than 0 and 1.

    Reference: fairlearn's CorrelationRemover (the same map, without the columns of the attribute).
    """

    alpha: Annotated[float, Field(gt=0, le=1)] = 1.0

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = (
        Read("pool", "the regression of the inputs on the sensitive attribute", into="inputs"),
    )
    reference: ClassVar[str] = "fairlearn, CorrelationRemover"
    dose: ClassVar[tuple[str, ...]] = ("alpha",)
    deploys: ClassVar[Literal["data", "outputs", "channel", "release"]] = "outputs"

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return not_among_inputs(problem)

    @override
    def inputs(self, problem: Problem, split: Literal["train", "validation"]) -> Array:
        matrix, shift = self._fitted(problem)
        X, _, _ = problem.rows(split)
        flat = X.reshape(len(X), -1).astype(np.float64)
        return (flat @ matrix + shift).astype(X.dtype).reshape(X.shape)

    @override
    def deploy(self, system: System) -> System:
        plain, shape = system.forward, system.problem.shape
        learnt = system.learn("correlation_removal", partial(self._learnt, system)).tensors
        matrix, shift = learnt["matrix"], learnt["shift"]

        def forward(X: Tensor) -> Tensor:
            flat = X.flatten(-len(shape))
            return plain((flat @ matrix.to(X.dtype) + shift.to(X.dtype)).unflatten(-1, shape))

        return replace(system, forward=forward)

    def _learnt(self, system: System) -> Learnt:
        matrix, shift = self._fitted(system.problem)
        return Learnt({"matrix": system.tensor(matrix), "shift": system.tensor(shift)})

    def _fitted(self, problem: Problem) -> tuple[Array, Array]:
        """The affine map of flattened inputs, x @ matrix [d, d] + shift [d], from the pool."""
        X, _, _ = problem.rows("train")
        flat = X.reshape(len(X), -1).astype(np.float64)
        columns = np.array(sensitive_columns(problem))
        others = np.setdiff1d(np.arange(flat.shape[1]), columns)
        mean = flat[:, columns].mean(0)
        # the columns of a category sum to 1: the shortest of the equally good coefficients
        slope = np.linalg.lstsq(flat[:, columns] - mean, flat[:, others], rcond=None)[0]
        matrix, shift = np.eye(flat.shape[1]), np.zeros(flat.shape[1])
        matrix[:, columns] = 0.0
        matrix[np.ix_(columns, others)] = -self.alpha * slope
        shift[others] = self.alpha * mean @ slope
        return matrix, shift
