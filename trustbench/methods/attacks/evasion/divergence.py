"""The term that TRADES adds to the clean loss: the divergence of clean and attacked predictions."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from trustbench.contracts import Forward
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.padding import on_real_rows
from trustbench.methods.attacks.evasion.pgd import ascend
from trustbench.methods.random_numbers import draw

# The standard deviation of the start, in units of each column's scale. At the clean input itself
# the divergence and its gradient are zero.
START = 1e-3


def divergence(clean: Tensor, attacked: Tensor) -> Tensor:
    """KL(softmax(clean) || softmax(attacked)) [...] of logits [..., C], in nats."""
    p = clean.log_softmax(-1)
    return F.kl_div(attacked.log_softmax(-1), p, reduction="none", log_target=True).sum(-1)


def diverging(
    forward: Forward,
    X: Tensor,
    threat: ThreatModel,
    real: Tensor,
    generators: Sequence[torch.Generator],
    steps: int,
) -> Tensor:
    """Returns inputs [R, N, *shape] whose predictions differ most from those of X [R, N, *shape].

    Ascends the divergence by projected steps of 2.5 epsilon / steps from a start close to X,
    without reading labels. Random numbers are drawn only for the rows in `real` [R, N], which lies
    on the CPU.

    Reference: Zhang et al. 2019, arXiv 1901.08573, Algorithm 1.
    """
    bounds = threat.bounds(X)
    with torch.no_grad():
        clean = forward(X)

    def start(x: Tensor, each: Sequence[torch.Generator], drawn: Tensor) -> Tensor:
        return x + START * draw(torch.randn, x, each, drawn)

    # the weight may differ between rows, so it multiplies the draws of all of them
    nudged = on_real_rows(start, X, real, generators)
    current = threat.project(X + (nudged - X) * threat.weight, X, bounds)
    for _ in range(steps):
        with torch.enable_grad():
            current = current.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(divergence(clean, forward(current)).sum(), current)
        current = ascend(current.detach(), gradient, X, threat, 2.5 / steps, bounds)
    return current.detach()
