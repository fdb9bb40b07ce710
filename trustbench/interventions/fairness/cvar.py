"""Training on the worst share of the rows: conditional value at risk."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Intervention, Problem, Read
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.pgd import cross_entropy


@dataclass(frozen=True)
class CVaR(Intervention):
    """Minimises the mean loss of the worst `share` of the rows, without knowing any group.

    The objective of a row is z + max(loss - z, 0) / share. Its mean, at the best z, is the mean
    over the worst share. That z is the (1 - share) quantile of the losses, here those of the
    validation rows, learnt before the first epoch and after each; the published estimator takes it
    from the batch, which is biased where a batch is small, and reads other examples. Rows whose
    loss is below z have no gradient. `share` 1 is ordinary training. Where more than `share` of the
    rows cannot be decided rightly, even odds for all rows are the optimum.

    Reference: Levy et al. 2020, arXiv 2010.05893 (CVaR); Hashimoto et al. 2018, arXiv 1806.08010
    (groups that are not known).
    """

    share: Annotated[float, Field(gt=0, le=1)] = 0.5

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = (Read("validation", "a quantile of the losses", into="training"),)
    reference: ClassVar[str] = "Levy et al. 2020, arXiv 2010.05893"
    dose: ClassVar[tuple[str, ...]] = ("share",)

    @override
    def adapt(
        self, memory: dict[str, Tensor], validation: Batch, forward: Forward, problem: Problem
    ) -> None:
        """Sets z [R, 1]; no loss lies below 0, which is z for the share 1."""
        with torch.no_grad():
            loss = cross_entropy(forward(validation.X[:, :, 0]), validation.y)
        z = torch.quantile(loss, 1 - self.share, dim=1, keepdim=True, interpolation="higher")
        memory["z"] = z if self.share < 1 else torch.zeros_like(z)

    @override
    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        z = batch.memory["z"]
        return z + (loss - z).clamp(min=0) / self.share
