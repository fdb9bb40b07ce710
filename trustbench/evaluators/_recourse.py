"""What evaluators of recourse share: whose counterfactuals they read, and the refusals."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Access, Array, Evaluator, System
from trustbench.methods.recourse import Actions, Goal, Norm, Owed, Searching, owed

NOBODY = "a model refuses none of these rows"
UNHELPED = "a model refuses none of these rows, or no change that is allowed helps those it refuses"


@dataclass(frozen=True)
class RecourseEvaluator(Evaluator):
    """Base of evaluators that read counterfactuals.

    A genetic search with this `population` and these `iterations`, which needs only answers of the
    model, finds them; some evaluators read those that the system releases instead, where it does
    (intervention=counterfactuals). `norm` is that of the cost.
    """

    norm: Norm = "l2"
    population: Annotated[int, Field(ge=4)] = 40
    iterations: Annotated[int, Field(ge=1)] = 30

    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider", "explainer"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries"})

    @override
    def supports(self, system: System) -> str | None:
        return Actions.none_in(system.problem) or Goal.undecidable(system)

    def owed(self, system: System, rows: Tensor, group: Array) -> Owed:
        """The counterfactuals of rows [n, *shape] of `group` [n]: the released ones, if any."""
        return owed(system, rows, group, self._searching)

    def searched(self, system: System, rows: Tensor, group: Array) -> Owed:
        """Those that are found, whatever the system releases: arms are compared by one search."""
        return owed(system, rows, group, self._searching, releases=False)

    @property
    def _searching(self) -> Searching:
        return Searching(
            "genetic", self.norm, population=self.population, iterations=self.iterations
        )
