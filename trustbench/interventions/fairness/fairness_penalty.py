"""A penalty on the squared differences of mean predictions between groups."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Intervention, Problem, Read, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.methods.groups import cells


@dataclass(frozen=True)
class FairnessPenalty(Intervention):
    """Adds `strength` x the squared gaps of the groups' mean class probabilities in the batch.

    `demographic_parity` compares the groups over all rows of a batch, `equalised_odds` over those
    of each true label. Every pair of groups counts once; a pair is skipped if one of its groups has
    no row in the batch. Squares are summed over the classes and halved, which with two classes is
    the squared gap in the probability of class 1.

    Means are over the batch's rows, unweighted. With few rows they are noisy, and their squares are
    biased upwards: the larger the batch, the closer the penalty is to the gap.

    Reference: Bechavod and Ligett 2017, arXiv 1707.00044 (squared gaps as a penalty, two classes
    and groups); Hardt et al. 2016, arXiv 1610.02413 (equalised odds).
    """

    strength: Annotated[float, Field(gt=0)] = 1.0
    constraint: Literal["demographic_parity", "equalised_odds"] = "equalised_odds"

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = (
        Read("members", "the predictions for other rows of a batch", into="training"),
    )
    reference: ClassVar[str] = "Bechavod and Ligett 2017, arXiv 1707.00044"
    needs_group: ClassVar[Literal["train", "predict", "never"]] = "train"
    per_example: ClassVar[bool] = False
    dose: ClassVar[tuple[str, ...]] = ("strength",)

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        _, y, group = problem.rows("train")
        shared = (cells(group, y, len(problem.groups), len(problem.classes)) > 0).sum(axis=0)
        if shared.max() > 1:
            return None
        return (
            f"no two groups ({problem.group_name}) of {problem.name} share a label: equal "
            "predictions for them would undo the task"
        )

    def objective(self, loss: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        """The loss [R, B] plus the penalty [R], which is the same for all rows of a batch."""
        probabilities = logits.softmax(-1).mean(2)  # views are averaged: [R, B, C]
        real = (batch.weight > 0).to(loss.dtype)
        every = torch.arange(batch.groups or int(batch.group.max()) + 1, device=loss.device)
        group = (batch.group[..., None] == every).to(loss.dtype) * real[..., None]
        penalty = loss.new_zeros(len(loss))
        if self.constraint == "demographic_parity":
            penalty = squared_gaps(probabilities, group)
        else:
            for label in range(logits.shape[-1]):
                inside = (batch.y == label).to(loss.dtype)[..., None]
                penalty = penalty + squared_gaps(probabilities, group * inside)
        return loss + self.strength * penalty[:, None]


def squared_gaps(probabilities: Tensor, group: Tensor) -> Tensor:
    """Half the squared distance of mean probabilities, summed over pairs of groups: [R].

    Args:
        probabilities: [R, B, C].
        group: [R, B, G], 1 where a row counts for a group, else 0.

    >>> p = torch.tensor([[[0.2, 0.8], [0.6, 0.4], [0.4, 0.6]]])
    >>> g = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    >>> round(squared_gaps(p, g).item(), 4)  # (.8 - .5)^2
    0.09
    """
    count = group.sum(1)  # [R, G]
    mean = (group.mT @ probabilities) / count.clamp(min=1)[..., None]  # [R, G, C]
    both = (count > 0)[:, :, None] & (count > 0)[:, None, :]
    distance = (mean[:, :, None] - mean[:, None]).square().sum(-1)
    # Every pair occurs twice in the G x G square: one half for that, and one for half the sum.
    return (distance * both).sum((1, 2)) / 4
