"""What evaluators of membership inference share: the model's access, and the refusal."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from trustbench.contracts import Access, Evaluator, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks import membership as mia


@dataclass(frozen=True)
class MembershipEvaluator(Evaluator):
    """Base of evaluators that attack the training pool, members and the others."""

    aspect: ClassVar[Aspect | None] = Aspect.PRIVACY
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "members", "replicates"})

    @override
    def supports(self, system: System) -> str | None:
        return mia.no_non_members(system.membership)
