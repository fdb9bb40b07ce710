"""Targets that leave a share of the probability to all classes."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Intervention
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.pgd import cross_entropy


@dataclass(frozen=True)
class LabelSmoothing(Intervention):
    """Trains towards (1 - `share`) of the label plus `share` of the uniform distribution.

    It is known to make probabilities less extreme. It has also been reported to help against
    attacks; part of that is a flat loss, which hides gradients from an attacker rather than moving
    the decision, so read it beside attacks without gradients. The loss reads one example at a time:
    under DP-SGD the accounting is unchanged.

    Reference: Szegedy et al. 2016, arXiv 1512.00567, section 7; Goibert and Dohmatob 2019, arXiv
    1906.11567 (as a defence).
    """

    share: Annotated[float, Field(gt=0, lt=1)] = 0.1

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Szegedy et al. 2016, arXiv 1512.00567"
    dose: ClassVar[tuple[str, ...]] = ("share",)

    @override
    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """The loss [R, B] plus what the smoothed target adds to the views' mean cross-entropy."""
        uniform = -logits.log_softmax(-1).mean(-1)
        true = cross_entropy(logits, batch.y.unsqueeze(2))
        return loss + self.share * (uniform - true).mean(2)
