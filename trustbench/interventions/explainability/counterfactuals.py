"""Counterfactual explanations released to everybody who is refused."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Intervention, Problem, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.released import release
from trustbench.methods.recourse import Actions, Goal, Norm, Search, Searching, copies


@dataclass(frozen=True)
class CounterfactualRelease(Intervention):
    """Tells everybody who is refused the cheapest change that would have been accepted.

    The released explanation is the change of each column, 0 where the decision is favourable or no
    change was found. It respects what the data set declares: immutable and actionable columns, the
    direction in which a value can change, and its bounds. Categories change with `search=genetic`
    only. `norm` is that of the cost; `margin` is how far beyond the boundary to go, in log-odds:
    a cheap counterfactual of another model may be worth nothing. `steps` are those of the gradient
    search; `population` and `iterations` those of the genetic one. Nothing is retrained.

    Reference: Wachter et al. 2018, arXiv 1711.00399; Ustun et al. 2019, arXiv 1809.06514 (actions);
    Sharma et al. 2020, arXiv 1905.07857 (genetic search).
    """

    search: Search = "gradient"
    norm: Norm = "l2"
    margin: Annotated[float, Field(ge=0)] = 0.0
    steps: Annotated[int, Field(ge=1)] = 30
    population: Annotated[int, Field(ge=4)] = 40
    iterations: Annotated[int, Field(ge=1)] = 30

    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Wachter et al. 2018, arXiv 1711.00399"
    dose: ClassVar[tuple[str, ...]] = ("margin",)

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        reason = Actions.none_in(problem)
        if reason is None and self.search == "gradient":
            numbers = Actions.of(problem, self.norm, torch.zeros(1)).numbers
            if not numbers:
                reason = "a gradient moves numbers, and no number is actionable; search=genetic"
        return reason

    @override
    def deploy(self, system: System) -> System:
        searching = Searching(
            self.search, self.norm, self.margin, self.steps, self.population, self.iterations
        )

        def explain(X: Tensor, repeat: int) -> Tensor:
            rows = copies(system, X)
            change = searching(system, rows, repeat).changed - rows
            return torch.where(Goal(system).refused(rows).unsqueeze(-1), change, 0.0)

        facts = {**system.facts, "counterfactual_search": self.search}
        return release(replace(system, facts=facts), explain, "changes")
