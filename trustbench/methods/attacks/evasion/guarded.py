"""An attack on a model and its guard together, for an attacker who knows both."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trustbench.contracts import Forward
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.pgd import Worst, ascend, margin

Rejection = Callable[[Tensor], Tensor]


def selective_pgd(
    forward: Forward,
    X: Tensor,
    y: Tensor,
    threat: ThreatModel,
    generators: Sequence[torch.Generator],
    *,
    rejection: Rejection | None,
    steps: int,
) -> Worst:
    """One PGD run that increases the margin of a point or, where it is fooled, lowers rejection.

    Each step follows only the constraint that the point does not meet yet, so the two are never
    weighed against each other. The score of an input is the smaller of its margin and of minus its
    rejection: at or above 0 it is wrong and passes the guard. Without a guard this is PGD on the
    margin. Inputs have the form that `pgd` takes.

    Reference: Bryniarski et al. 2021, arXiv 2106.15023 (selective projected gradient).
    """
    with torch.no_grad():
        worst = Worst(X, _score(margin(forward(X), y), _beyond(rejection, X)))
    current, bounds = threat.random_point(X, generators), threat.bounds(X)
    for step in range(steps + 1):
        with torch.enable_grad():
            at = current.detach().requires_grad_()
            wrong, beyond = margin(forward(at), y), _beyond(rejection, at)
            aim = wrong if beyond is None else torch.where(wrong < 0, wrong, -beyond)
            (gradient,) = torch.autograd.grad(aim.sum(), at)
        worst.offer(current, _score(wrong.detach(), None if beyond is None else beyond.detach()))
        if step < steps:
            current = ascend(current, gradient, X, threat, 2.5 / steps, bounds)
    return worst


def _beyond(rejection: Rejection | None, X: Tensor) -> Tensor | None:
    return None if rejection is None else rejection(X)


def _score(wrong: Tensor, beyond: Tensor | None) -> Tensor:
    return wrong if beyond is None else torch.minimum(wrong, -beyond.to(wrong.dtype))
