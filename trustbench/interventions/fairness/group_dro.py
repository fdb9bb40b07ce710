"""Distributionally robust training: the groups that do worst count most."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Array, Batch, Forward, Intervention, Problem, Read
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.pgd import cross_entropy
from trustbench.methods.groups import cells


@dataclass(frozen=True)
class GroupDRO(Intervention):
    """Weights the loss of cell c by q[c] / p[c]; q follows the losses of the validation rows.

    Cells are group and label together, or groups alone (`by`); p[c] is the share of a cell in the
    training pool. q starts uniform, and after each epoch every q[c] is multiplied by
    exp(`eta` l[c]), with l[c] the mean cross-entropy of the cell's validation rows, and scaled to
    sum 1. The published method moves q at every step by the losses of the batch, in which a cell
    that is absent counts as solved; here `eta` is per epoch, and a cell without validation rows
    moves like the average. `eta` 0 gives weights that balance the cells. All of an example's loss
    depends on that example alone, given q.

    Networks that fit every training row have no loss left to redistribute: the method needs early
    stopping (`training=tuned`) or strong weight decay.

    Reference: Sagawa et al. 2020, arXiv 1911.08731, algorithm 1 (eta .01 per step).
    """

    eta: Annotated[float, Field(ge=0)] = 0.3
    by: Literal["group_label", "group"] = "group_label"

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = (
        Read("pool", "the size of each group and label", into="training"),
        Read("validation", "the loss of each group and label", into="training"),
    )
    reference: ClassVar[str] = "Sagawa et al. 2020, arXiv 1911.08731"
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "train"
    dose: ClassVar[tuple[str, ...]] = ("eta",)

    @override
    def adapt(
        self, memory: dict[str, Tensor], validation: Batch, forward: Forward, problem: Problem
    ) -> None:
        """Moves q [R, K] by the losses; the factors [R, K] of the cells are q / p."""
        like, R = validation.X, len(validation.y)
        count = self._count(problem)
        occurs = torch.as_tensor(count > 0, device=like.device)
        if not memory:
            q = occurs.to(like.dtype).expand(R, -1) / occurs.sum()
        else:
            with torch.no_grad():
                loss = cross_entropy(forward(validation.X[:, :, 0]), validation.y)
            moved = means_of_cells(loss, self._cell(validation, len(problem.classes)), memory["q"])
            q = memory["q"] * (self.eta * (moved - moved.amax(1, keepdim=True))).exp()
            q = q / q.sum(1, keepdim=True)
        share = torch.as_tensor(count / count.sum(), dtype=like.dtype, device=like.device)
        memory["q"] = q
        memory["factor"] = torch.where(occurs, q / share.clamp(min=1e-12), 0.0)

    @override
    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        cell = self._cell(batch, logits.shape[-1])
        return loss * batch.memory["factor"].gather(1, cell)

    def _cell(self, batch: Batch, classes: int) -> Tensor:
        """The cell [R, B] of every row."""
        return batch.group if self.by == "group" else batch.group * classes + batch.y

    def _count(self, problem: Problem) -> Array:
        """The rows [K] of each cell in the training pool."""
        _, y, group = problem.rows("train")
        each = cells(group, y, len(problem.groups), len(problem.classes))
        return each.sum(1) if self.by == "group" else each.ravel()


def means_of_cells(loss: Tensor, cell: Tensor, q: Tensor) -> Tensor:
    """Mean loss [R, K] of each cell; a cell without rows has the mean of the others under q.

    >>> loss, cell = torch.tensor([[1.0, 3.0, 5.0]]), torch.tensor([[0, 0, 1]])
    >>> means_of_cells(loss, cell, torch.tensor([[0.25, 0.25, 0.5]])).tolist()
    [[2.0, 5.0, 3.5]]
    """
    total = torch.zeros_like(q).scatter_add_(1, cell, loss.to(q.dtype))
    count = torch.zeros_like(q).scatter_add_(1, cell, torch.ones_like(loss, dtype=q.dtype))
    mean, known = total / count.clamp(min=1), (count > 0).to(q.dtype)
    rest = (q * known * mean).sum(1, keepdim=True) / (q * known).sum(1, keepdim=True)
    return torch.where(count > 0, mean, rest)
