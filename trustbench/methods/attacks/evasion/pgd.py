"""Projected gradient descent on all replicates and points at once, and the worst case per point."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from trustbench.contracts import Forward
from trustbench.methods.attacks.evasion.box import ThreatModel, choose

Loss = Literal["ce", "margin"]
Objective = Literal[Loss, "dlr", "entropy", "tie"]


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """The largest other logit minus the true one, [...]; at or above 0 the point is fooled.

    It scales with the logits, so unlike cross-entropy it does not vanish on confident points.

    >>> margin(torch.tensor([[2.0, 0.5, -1.0]]), torch.tensor([0])).item()
    -1.5
    """
    true = y.expand(logits.shape[:-1]).unsqueeze(-1)
    other = logits.scatter(-1, true, -torch.inf).amax(-1)
    return other - logits.gather(-1, true).squeeze(-1)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy [...] of logits [..., C]."""
    target = y.expand(logits.shape[:-1])
    flat = F.cross_entropy(logits.flatten(0, -2), target.flatten(), reduction="none")
    return flat.view(target.shape)


def difference_of_logits_ratio(logits: Tensor, y: Tensor) -> Tensor:
    """The margin [...] divided by the distance from the largest logit to the third: dimensionless.

    Needs three classes; invariant to shifting or scaling the logits.

    Reference: Croce & Hein 2020, arXiv 2003.01690, Eq. 6.

    >>> difference_of_logits_ratio(torch.tensor([[3.0, 1.0, -1.0]]), torch.tensor([0])).item()
    -0.5
    """
    top = logits.topk(3, dim=-1).values
    return margin(logits, y) / (top[..., 0] - top[..., 2] + 1e-12)


def entropy(logits: Tensor, y: Tensor) -> Tensor:  # noqa: ARG001 one signature
    """Entropy [...] of the predicted distribution: highest if no label stands out.

    >>> round(entropy(torch.zeros(4), torch.tensor(0)).item(), 4)  # log 4
    1.3863
    """
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def tie(logits: Tensor, y: Tensor) -> Tensor:  # noqa: ARG001 one signature
    """Minus the distance [...] between the two largest logits: highest, 0, if they are equal.

    >>> tie(torch.tensor([3.0, 1.0, -1.0]), torch.tensor(0)).item()
    -2.0
    """
    top = logits.topk(2, dim=-1).values
    return top[..., 1] - top[..., 0]


LOSSES: dict[Objective, Callable[[Tensor, Tensor], Tensor]] = {
    "ce": cross_entropy,
    "margin": margin,
    "dlr": difference_of_logits_ratio,
    "entropy": entropy,
    "tie": tie,
}


@dataclass
class Worst:
    """The worst allowed input found so far for each replicate and point.

    `score` [R, n] ranks the inputs (larger is worse). Merging two results keeps the worse of each
    point.
    """

    X: Tensor  # [R, n, *shape]
    score: Tensor  # [R, n]

    def offer(self, X: Tensor, score: Tensor) -> None:
        """Takes the points of X [R, n, *shape] whose score [R, n] is larger."""
        better = score > self.score
        self.X = choose(better, X, self.X)
        self.score = torch.where(better, score, self.score)

    @property
    def fooled(self) -> Tensor:
        """Which points are fooled, bool [R, n]; valid only if the score is the margin."""
        return self.score >= 0


def input_gradient(
    forward: Forward, X: Tensor, y: Tensor, loss: Objective
) -> tuple[Tensor, Tensor]:
    """The gradient [R, n, *shape] of the loss at X [R, n, *shape], and the logits [R, n, C].

    No parameter's `.grad` changes: the gradient is taken with respect to X alone.
    """
    with torch.enable_grad():
        X = X.detach().requires_grad_()
        logits = forward(X)
        (gradient,) = torch.autograd.grad(LOSSES[loss](logits, y).sum(), X)
    return gradient, logits.detach()


def pgd(
    forward: Forward,
    X: Tensor,
    y: Tensor,
    threat: ThreatModel,
    generators: Sequence[torch.Generator],
    *,
    steps: int,
    loss: Objective,
    worst_by: Objective = "margin",
) -> Worst:
    """Returns the worst iterate of one PGD run from a random start, clean points included.

    Args:
        forward: logits [R, n, C] of inputs [R, n, *shape].
        X: clean inputs [R, n, *shape].
        y: true labels, int64 [n] or [R, n].
        threat: what may be changed, and by how much.
        generators: one per replicate; used for the random start only.
        steps: gradient steps, each of 2.5 epsilon / steps.
        loss: the loss that the steps increase.
        worst_by: the loss that ranks the iterates.

    Reference: Madry et al. 2018, arXiv 1706.06083, section 2.1; margin loss as in Carlini &
    Wagner 2017, arXiv 1608.04644, section V.A (f6).
    """
    score = LOSSES[worst_by]
    with torch.no_grad():
        worst = Worst(X, score(forward(X), y))
    current, bounds = threat.random_point(X, generators), threat.bounds(X)
    for _ in range(steps):
        gradient, logits = input_gradient(forward, current, y, loss)
        worst.offer(current, score(logits, y))
        current = ascend(current, gradient, X, threat, 2.5 / steps, bounds)
    with torch.no_grad():
        worst.offer(current, score(forward(current), y))
    return worst


def ascend(
    current: Tensor,
    gradient: Tensor,
    X: Tensor,
    threat: ThreatModel,
    fraction: float,
    bounds: tuple[Tensor, Tensor],
) -> Tensor:
    """Moves `current` by `fraction` of the radius along the gradient, and projects it."""
    return threat.project(current + threat.step(gradient, fraction), X, bounds)
