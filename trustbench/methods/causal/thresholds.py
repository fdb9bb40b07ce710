"""Margins of people, and the threshold of largest Matthews correlation on members."""

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, System
from trustbench.methods.attacks.evasion.linearity import margin_of

THRESHOLDS = np.linspace(0, 1, 101)
"""The thresholds on the probability of class 1 that the authors of CAPIFY try."""


def matthews(y: Array, decided: Array) -> Array:
    """Matthews' correlation [T] of decisions [T, n] with labels [n] of 0 and 1; constant ones: 0.

    >>> matthews(np.array([0, 0, 1, 1]), np.array([[0, 1, 1, 1], [1, 1, 1, 1]])).round(4).tolist()
    [0.5774, 0.0]
    """
    n, positive, called = y.size, y.sum(), decided.sum(1).astype(float)
    both = (decided * y).sum(1)
    size = np.sqrt(called * (n - called) * positive * (n - positive))
    return np.asarray(
        np.divide(n * both - called * positive, size, out=np.zeros(len(size)), where=size > 0)
    )


def best_threshold(y: Array, probability: Array) -> float:
    """The first of THRESHOLDS with the largest correlation; class 1 is decided at or above it."""
    found = matthews(y, probability >= THRESHOLDS[:, None])
    return float(THRESHOLDS[found.argmax()])


def margins_of(system: System, X: Array) -> Tensor:
    """The margins [R, m] of people X [m, d] of a causal model."""
    return margin_of(system.logits(system.tensor(X.astype(system.problem.X.dtype))))


def published_rule(system: System) -> tuple[Tensor, Array]:
    """Each replicate's threshold as a margin [R], and its accuracy on the test rows [R]."""
    y, test = system.problem.rows("train")[1], system.problem.rows("test")[1]
    probability = margin_of(system.split_logits("train")).double().sigmoid().cpu().numpy()
    limits = [
        best_threshold(y[inside], p[inside])
        for p, inside in zip(probability, system.membership, strict=True)
    ]
    at = margin_of(system.split_logits("test"))
    limit = torch.as_tensor(limits, dtype=at.dtype, device=at.device).logit()
    decided = (at >= limit[:, None]).cpu().numpy()
    return limit, (decided == test).mean(1)
