"""Leaves out the rows that a first fit finds hardest."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, FirstFit, Intervention, Problem, Read
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.poisoning.suspicion import losses, without


@dataclass(frozen=True)
class LossOutliers(Intervention):
    """Trains without the `share` of each label that has the largest loss in a first fit.

    Finds labels that contradict the other rows. A first fit that memorises its rows has no large
    losses left, and a backdoor is easy to fit: expect little in either case. Rows of a minority are
    harder than others, so they are left out more often.

    Reference: Koh et al. 2022, arXiv 1811.00741, section 5 (loss defence).
    """

    share: Annotated[float, Field(gt=0, lt=1)] = 0.1

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (
        Read("members", "what a first fit makes of all members", into="training"),
    )
    reference: ClassVar[str] = "Koh et al. 2022, arXiv 1811.00741"
    dose: ClassVar[tuple[str, ...]] = ("share",)

    @override
    def reweigh(self, problem: Problem, members: Array, first: FirstFit) -> Array:
        labels = problem.rows("train")[1][members]
        return without(losses(first.logits[members], labels), self.share, labels)
