"""Auto-PGD: projected gradient ascent that chooses its step size for each point."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trustbench.contracts import Forward
from trustbench.methods.attacks.evasion.box import ThreatModel, choose
from trustbench.methods.attacks.evasion.pgd import LOSSES, Objective, Worst, input_gradient, margin

MOMENTUM = 0.75  # weight of the new step against the direction of the last one
RHO = 0.75  # share of steps that must raise the loss, or else the step is halved
FIRST_STEP = 2.0  # in radii


def checkpoints(steps: int) -> list[int]:
    """The iterations after which steps may be halved.

    >>> checkpoints(100)
    [22, 41, 57, 70, 80, 87, 93, 99]
    """
    p = [0.0, 0.22]
    while (following := p[-1] + max(p[-1] - p[-2] - 0.03, 0.06)) <= 1:
        p.append(following)
    # 1e-9: 0.22 x 100 must not round up.
    return [math.ceil(share * steps - 1e-9) for share in p[1:]]


@dataclass
class _Record:
    """For each point [R, n]: the iterate with the best loss, and the progress of the ascent."""

    best: Worst
    gradient: Tensor  # [R, n, *shape], at the best iterate
    eta: Tensor  # the present step, in radii
    rises: Tensor  # steps since the last checkpoint that raised the loss
    halved: Tensor  # whether the last checkpoint halved the step
    at_checkpoint: Tensor  # the best loss at the last checkpoint

    def see(self, X: Tensor, gradient: Tensor, value: Tensor, before: Tensor) -> None:
        """Records an iterate with loss `value`, reached from one with loss `before`."""
        self.rises = self.rises + (value > before)
        self.gradient = choose(value > self.best.score, gradient, self.gradient)
        self.best.offer(X, value)

    def halve(self, period: int) -> Tensor:
        """Halves the step of the points without progress; returns which these are, bool [R, n]."""
        stagnant = ~self.halved & (self.at_checkpoint == self.best.score)
        stuck = (self.rises < RHO * period) | stagnant
        self.eta = torch.where(stuck, self.eta / 2, self.eta)
        self.halved, self.at_checkpoint = stuck, self.best.score
        self.rises = torch.zeros_like(self.rises)
        return stuck


def apgd(
    forward: Forward,
    X: Tensor,
    y: Tensor,
    threat: ThreatModel,
    generators: Sequence[torch.Generator],
    *,
    steps: int,
    loss: Objective,
) -> Worst:
    """Returns the iterate with the worst margin in one Auto-PGD run, clean points included.

    Takes the arguments of `pgd`; the first step is two radii. At each checkpoint a point halves its
    step and restarts from its best iterate if fewer than three of four steps raised its loss, or if
    its best loss has not changed.

    Reference: Croce & Hein 2020, arXiv 2003.01690, algorithm 1.
    """
    with torch.no_grad():
        worst = Worst(X, margin(forward(X), y))
    bounds = threat.bounds(X)
    current = previous = threat.random_point(X, generators)
    gradient, logits = input_gradient(forward, current, y, loss)
    value = LOSSES[loss](logits, y)
    worst.offer(current, margin(logits, y))
    record = _Record(
        best=Worst(current, value),
        gradient=gradient,
        eta=torch.full_like(value, FIRST_STEP),
        rises=torch.zeros_like(value),
        halved=torch.zeros_like(value, dtype=torch.bool),
        at_checkpoint=value,
    )
    checks, checked = checkpoints(steps), 0
    for k in range(steps):
        moved = threat.project(current + threat.step(gradient, record.eta), X, bounds)
        if k:
            step = MOMENTUM * (moved - current) + (1 - MOMENTUM) * (current - previous)
            moved = threat.project(current + step, X, bounds)
        previous, current, before = current, moved, value
        gradient, logits = input_gradient(forward, current, y, loss)
        value = LOSSES[loss](logits, y)
        worst.offer(current, margin(logits, y))
        record.see(current, gradient, value, before)
        if k + 1 in checks:
            stuck = record.halve(k + 1 - checked)
            checked = k + 1
            current = choose(stuck, record.best.X, current)
            gradient = choose(stuck, record.gradient, gradient)
            value = torch.where(stuck, record.best.score, value)
    return worst
