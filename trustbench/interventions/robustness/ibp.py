"""IBP training: the loss of the worst logits that interval bounds allow within a ball."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Chain, Forward, Intervention, Problem, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import ThreatModel, unattackable
from trustbench.methods.attacks.evasion.pgd import cross_entropy
from trustbench.methods.verification.bounds import margins


@dataclass(frozen=True)
class IBPTraining(Intervention):
    """Trains a network whose decisions interval bounds can prove: kappa CE + (1 - kappa) worst CE.

    The worst logits are those that interval bounds allow within `epsilon` (linf, in units of each
    column's scale) and the features' box. Over the first `ramp` epochs the radius grows from 0 to
    `epsilon` and the weight of the clean loss falls from 1 to `kappa`, in steps of an epoch; the
    epoch that is kept is chosen at the full radius. Bounds come from the layers, so the model is
    `mlp` or `logistic`. Each example's loss is its own, but its gradient by the layers cannot be
    clipped through logits: methods that bound gradients, such as DP-SGD, are refused.

    Reference: Gowal et al. 2018, arXiv 1810.12715, sections 3.2 and 4.
    """

    epsilon: Annotated[float, Field(gt=0)] = 0.1
    kappa: Annotated[float, Field(ge=0, le=1)] = 0.5
    ramp: Annotated[int, Field(ge=0)] = 10

    version: ClassVar[int] = 1
    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Gowal et al. 2018, arXiv 1810.12715"
    dose: ClassVar[tuple[str, ...]] = ("epsilon", "kappa")
    exclusive: ClassVar[frozenset[str]] = frozenset(
        {"gradient", "perturb", "objective", "layer_loss"}
    )

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return unattackable(problem)

    @override
    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        """The inputs themselves, around which the boxes lie: no other method moves them."""
        return batch.X

    @override
    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        return self._clean(batch) * loss

    @override
    def layer_loss(self, chain: Chain, batch: Batch, problem: Problem) -> Tensor:
        clean = batch.X[:, :, 0].detach()
        threat = ThreatModel.of(problem, "linf", self.epsilon * self._share(batch), clean)
        worst = -margins(chain, *threat.bounds(clean), batch.y, "interval")
        return (1 - self._clean(batch)) * cross_entropy(worst, batch.y).to(batch.weight)

    def _clean(self, batch: Batch) -> float:
        """The weight of the clean loss."""
        return 1 - (1 - self.kappa) * self._share(batch)

    def _share(self, batch: Batch) -> float:
        """How far the ramp has come: 1 at its end, and for validation rows."""
        if batch.validation or not self.ramp:
            return 1.0
        return min(1.0, batch.epoch / self.ramp)
