"""How far a binary margin is from linear near an example, from views alone.

A penalty on the gradient of a margin g would need gradients of gradients. Central differences give
the same numbers from g at further views, and views are what training handles for any model and
under DP-SGD: the norm of an example's gradient covers them all.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from trustbench.contracts import Batch, Forward
from trustbench.methods.random_numbers import draw

PART = 0.2  # of the perturbation d, to which d . grad g is measured
STEP = 0.02  # along the gradient, to which its length is measured
VIEWS = 6  # x, x + d, and two views for each of the two slopes

Gradient = Callable[[Tensor], Tensor]


def margin_of(logits: Tensor) -> Tensor:
    """The margin g [...] of logits [..., 2]: that of class 1 above class 0."""
    return logits[..., 1] - logits[..., 0]


def slope(forward: Forward, X: Tensor) -> Tensor:
    """The gradient of the margin with respect to X, [R, n, d]."""
    with torch.enable_grad():
        X = X.detach().requires_grad_()
        (found,) = torch.autograd.grad(margin_of(forward(X)).sum(), X)
    return found


def ascend_by_adam(
    uphill: Gradient, start: Tensor, radius: float, steps: int, rate: float
) -> Tensor:
    """The perturbation [..., d] after Adam steps, each projected to the l2 ball.

    Reference: the authors' code of CAPIFY (Ehyaei et al. 2023), with Adam's default moments.
    """
    delta, first, second = start, torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, steps + 1):
        g = uphill(delta)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g.square()
        size = (second / (1 - 0.999**step)).sqrt() + 1e-8
        delta = delta + rate * first / (1 - 0.9**step) / size
        length = delta.norm(dim=-1, keepdim=True)
        delta = torch.where(length > radius, delta / length.clamp(min=1e-12) * radius, delta)
    return delta


def most_curved(
    batch: Batch, forward: Forward, X: Tensor, radius: float, steps: int, rate: float
) -> Tensor:
    """The perturbation [R, n, d] at which the margin is farthest from linear, by ascent.

    The gradient of |g(x + d) - g(x) - d . grad g(x)| in d needs first derivatives only.
    """
    at = slope(forward, X)
    with torch.no_grad():
        own = margin_of(forward(X))

    def uphill(delta: Tensor) -> Tensor:
        with torch.enable_grad():
            moved = (X + delta).requires_grad_()
            g = margin_of(forward(moved))
            (there,) = torch.autograd.grad(g.sum(), moved)
        sign = (g.detach() - own - (delta * at).sum(-1)).sign()
        return sign[..., None] * (there - at)

    start = radius * draw(torch.randn, X, batch.generators, batch.real)
    return ascend_by_adam(uphill, start, radius, steps, rate)


def views(forward: Forward, X: Tensor, delta: Tensor, mask: Tensor) -> Tensor:
    """The views [R, n, VIEWS, d] from which `penalties` reads both slopes.

    The second slope is along the gradient in the columns of `mask` [d]: there it equals the length
    of the gradient, and so does its derivative by the parameters, as the direction maximises it.
    """
    steepest = slope(forward, X) * mask
    up = steepest / steepest.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    places = (X, X + delta, X + PART * delta, X - PART * delta, X + STEP * up, X - STEP * up)
    return torch.stack(places, dim=2)


def penalties(logits: Tensor) -> tuple[Tensor, Tensor]:
    """|g(x + d) - g(x) - d . grad g(x)| and the squared gradient in the mask, [R, n] each."""
    x, moved, ahead, behind, up, down = margin_of(logits[:, :, :VIEWS]).unbind(2)
    linear = (ahead - behind) / (2 * PART)
    return (moved - x - linear).abs(), ((up - down) / (2 * STEP)).square()
