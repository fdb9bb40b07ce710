"""What evaluators share that move test points: the ball, the model's access, and the refusal."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Access, Evaluator, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import Norm, ThreatModel, unattackable


@dataclass(frozen=True)
class UnderAttack(Evaluator):
    """Base of evaluators whose attacker moves each point within a ball and the features' box."""

    norm: Norm = "linf"
    epsilon: Annotated[float, Field(gt=0)] = 0.1

    aspect: ClassVar[Aspect | None] = Aspect.ROBUSTNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries", "gradients"})

    @override
    def supports(self, system: System) -> str | None:
        return unattackable(system.problem)

    def threat(self, system: System, X: Tensor) -> ThreatModel:
        """The ball of this evaluator around X."""
        return ThreatModel.of(system.problem, self.norm, self.epsilon, X)
