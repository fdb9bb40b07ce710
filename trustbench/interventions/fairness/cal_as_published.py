"""Causal adversarial learning as the published code runs: on a random point, not the worst."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Intervention, Problem, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.methods.causal.ball import without_model
from trustbench.methods.causal.training import model_of, neighbours_of


@dataclass(frozen=True)
class CausalLearningAsPublished(Intervention):
    """Replaces every example by a random point around one of its twins.

    The published code averages the loss over the draws before it takes the maximum, whose place is
    then always the first: the first draw around the first twin. Everybody is trained as a member of
    one level of the sensitive variables, `level` (its place among the model's levels), with the
    label of the person. It is kept to compare with the published numbers; `cal` takes the maximum.

    Reference: the authors' code of CAPIFY (Ehyaei et al. 2023, arXiv 2308.08938), whose first twin
    is the woman.
    """

    epsilon: Annotated[float, Field(gt=0)] = 0.05
    level: Annotated[int, Field(ge=0)] = 0

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Ehyaei et al. 2023, arXiv 2308.08938 (the authors' code)"
    dose: ClassVar[tuple[str, ...]] = ("epsilon",)
    leaves_bounds: ClassVar[bool] = True
    exclusive: ClassVar[frozenset[str]] = frozenset({"gradient", "perturb"})

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        lacking = without_model(problem)
        if lacking is None and self.level >= (n := len(model_of(problem).levels())):
            return (
                f"level is {self.level}; the causal model of {problem.name} has levels 0 to {n - 1}"
            )
        return lacking

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        return neighbours_of(problem, batch, self.epsilon, draws=1)[:, :, self.level]
