"""Decisions that are left to somebody else where a score of the input is above its limit."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from trustbench.contracts import ABSTAIN, Array, Learnt, System
from trustbench.methods.conformal.quantiles import thresholds

Score = Callable[[Tensor], Tensor]
"""Maps X [n, *shape] or [R, n, *shape] to scores [R, n]: the larger, the more abnormal."""


def doubt(logits: Tensor) -> Tensor:
    """Minus the logarithm of the largest probability, [...], of logits [..., C]: 0 is certain.

    >>> round(doubt(torch.zeros(2)).item(), 4)  # log 2
    0.6931
    """
    return -logits.log_softmax(-1).amax(-1)


def rejecting(system: System, name: str, score: Score, rate: float) -> System:
    """The system that abstains where `score` is above its limit, beside what it abstains on.

    The limit of a replicate is an order statistic of the scores of its own calibration rows: a row
    that is exchangeable with them is rejected with a probability of at most `rate`. With `rate` 0
    the system is returned as it is. `name` is that of the limits among what the system has learnt.

    Reference: Vovk et al. 2005, Algorithmic Learning in a Random World.
    """
    if rate == 0:
        return system

    def learnt() -> Learnt:
        with torch.no_grad():
            scores = score(system.tensor(system.problem.X[system.calibration]))
        return Learnt({"limit": thresholds(scores, rate)})

    limit = system.learn(name, learnt).tensors["limit"].unsqueeze(1)

    def rejection(X: Tensor) -> Tensor:
        beyond = score(X) - limit
        return beyond if system.rejection is None else beyond.maximum(system.rejection(X))

    def decide(X: Tensor, group: Array) -> Tensor:
        with torch.no_grad():
            rejected = score(X) > limit
        return system.decide(X, group).where(~rejected, ABSTAIN)

    # a guard that was there before and releases no score leaves the whole without one
    known = not system.abstains or system.rejection is not None
    return replace(system, decider=decide, abstains=True, rejection=rejection if known else None)
