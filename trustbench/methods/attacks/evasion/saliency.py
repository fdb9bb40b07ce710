"""An attack on explanations: shifts the model's attention and keeps its decision."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trustbench.contracts import Forward
from trustbench.methods.attacks.evasion.box import ThreatModel, choose
from trustbench.methods.attacks.evasion.pgd import Worst, ascend, margin


def top(attributions: Tensor, k: int) -> Tensor:
    """Membership [..., d] of each column in the k largest |attributions| [..., d]; sums to k.

    Columns tied at the k-th value share the remaining places, so equal attributions (all pixels of
    one explained patch) need no arbitrary order.

    >>> top(torch.tensor([3.0, -2.0, 2.0, 0.1]), 2)
    tensor([1.0000, 0.5000, 0.5000, 0.0000])
    """
    size = attributions.abs()
    threshold = size.topk(k, dim=-1).values[..., -1:]
    above, tied = (size > threshold).to(size.dtype), (size == threshold).to(size.dtype)
    places = k - above.sum(-1, keepdim=True)
    return above + tied * places / tied.sum(-1, keepdim=True)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """The fraction [...] of the top places that two memberships [..., d] of `top` share."""
    return torch.minimum(a, b).sum(-1) / a.sum(-1)


def explanation_attack(
    forward: Forward,
    X: Tensor,
    important: Tensor,
    threat: ThreatModel,
    generators: Sequence[torch.Generator],
    *,
    steps: int,
    restarts: int,
) -> tuple[Worst, Tensor]:
    """Returns inputs with the clean decision that draw saliency away from the important columns.

    The attacker sees the model's gradients. It maximises -(|saliency| on `important` / total
    |saliency|), where saliency is the input gradient of the predicted class's logit margin. A ReLU
    network is piecewise linear, so the second derivative that this needs is zero. Each step then
    becomes a new random corner of the ball, kept only if the saliency improves.

    Args:
        forward: twice differentiable in its input, [R, n, *shape] -> [R, n, C].
        X: clean inputs [R, n, *shape].
        important: membership [R, n, d] of the columns that the clean explanation ranks highest.
        threat: what may be changed, and by how much.
        generators: one per replicate.
        steps: steps per restart.
        restarts: random starts.

    Returns:
        The worst inputs that keep the decision (the clean one if none was found), and where
        the second derivative was zero at every step: bool [R, n].

    Reference: Ghorbani et al. 2019, arXiv 1710.10547, Algorithm 1 (top-k attack).
    """
    with torch.no_grad():
        decision = forward(X).argmax(-1)
    clean, _, _ = _distraction(forward, X, decision, important)
    worst, blind = Worst(X, clean), torch.ones_like(clean, dtype=torch.bool)
    bounds = threat.bounds(X)
    for _ in range(restarts):
        current = threat.random_point(X, generators)
        for step in range(steps + 1):
            score, gradient, same = _distraction(forward, current, decision, important)
            worst.offer(current, torch.where(same, score, -torch.inf))
            if step == steps:
                break
            flat = gradient.flatten(2).abs().amax(-1) == 0
            blind &= flat
            moved = ascend(current, gradient, X, threat, 2.5 / steps, bounds)
            corner = _corner(X, threat, generators)
            current = choose(flat, corner, moved)
    return worst, blind


def _corner(X: Tensor, threat: ThreatModel, generators: Sequence[torch.Generator]) -> Tensor:
    """Moves X by the full radius in a random direction; drawn at each step, needed or not."""
    return threat.random_direction(
        X, torch.zeros_like(X.flatten(2)[:, :, 0]) + threat.epsilon, generators
    )


def _distraction(
    forward: Forward, X: Tensor, decision: Tensor, important: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(objective [R, n], its gradient [R, n, *shape], whether the decision is unchanged [R, n])."""
    with torch.enable_grad():
        X = X.detach().requires_grad_()
        logits = forward(X)
        lead = -margin(logits, decision)
        (saliency,) = torch.autograd.grad(lead.sum(), X, create_graph=True)
        size = saliency.flatten(2).abs()
        total = size.sum(-1).clamp(min=torch.finfo(size.dtype).tiny)
        objective = -(size * important).sum(-1) / total
        gradient = torch.zeros_like(X)
        # A linear model's saliency does not depend on X at all, so it has no graph.
        if objective.requires_grad:
            (gradient,) = torch.autograd.grad(objective.sum(), X, materialize_grads=True)
    return objective.detach(), gradient.detach(), logits.argmax(-1) == decision


def equal_norm_control(
    forward: Forward,
    X: Tensor,
    attacked: Tensor,
    threat: ThreatModel,
    generators: Sequence[torch.Generator],
    tries: int = 10,
) -> Tensor:
    """Moves X [R, n, *shape] as far as `attacked`, in a random direction that keeps the decision.

    If none of `tries` directions keeps it, the input stays clean, as in the attack.
    """
    with torch.no_grad():
        decision = forward(X).argmax(-1)
        size = threat.size(attacked - X)
        control, open_ = X, torch.ones_like(decision, dtype=torch.bool)
        for _ in range(tries):
            candidate = threat.random_direction(X, size, generators)
            take = open_ & (forward(candidate).argmax(-1) == decision)
            control = choose(take, candidate, control)
            open_ &= ~take
    return control
