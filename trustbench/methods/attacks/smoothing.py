"""Gaussian smoothing of a classifier: the noise, the smoothed forward, and its certificate."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, Forward, Problem, System
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.random_numbers import drawn, moved

# The `attacks` sub-stream of noise; all replicates share these draws.
NOISE = "smoothing"


def spread(problem: Problem, sigma: float, like: Tensor) -> Tensor:
    """Standard deviations [*shape] of the noise: sigma x the threat model's weight per column.

    Columns that no attacker may move get no noise. The certificate then holds for every
    perturbation of the others, measured in units of the weight.
    """
    return sigma * ThreatModel.of(problem, "l2", 1.0, like).weight


def draws(system: System, sigma: float, samples: int, like: Tensor, *index: str) -> Tensor:
    """Noise [samples, *shape], the same for all rows, replicates and arms."""
    generator = system.streams.torch("attacks", NOISE, *index)
    unit = drawn(torch.randn, (samples, *system.problem.shape), generator, like)
    return unit * spread(system.problem, sigma, like)


@dataclass(frozen=True)
class Smoothed:
    """A Forward that averages the probabilities of another over fixed noise [S, *shape].

    It is deterministic and differentiable, so attacks on it see the gradient of what is deployed.
    The logits are log mean probabilities.

    Reference: Salman et al. 2019, arXiv 1906.04584, section 2.1 (the soft smoothed classifier).
    """

    base: Forward
    noise: Tensor

    def __call__(self, X: Tensor) -> Tensor:
        """Logits [R, n, C] of X [n, *shape] or [R, n, *shape]."""
        parts = [self.base(X + e).log_softmax(-1) for e in self.noise]
        return torch.logsumexp(torch.stack(parts), 0) - float(np.log(len(parts)))


def votes(
    logits: Callable[[Tensor], Tensor],
    X: Tensor,
    deviation: Tensor,
    samples: int,
    generator: torch.Generator,
    rows_at_once: int = 4096,
) -> Tensor:
    """How often each class wins under noise: int64 [R, n, C]; the counts of a row sum to `samples`.

    `logits` maps [m, *shape] to [R, m, C] without gradients. Each row has its own noise, which all
    replicates share.
    """
    total: Tensor | None = None
    n, left = len(X), samples
    while left:
        now = min(left, max(1, rows_at_once // n))
        left -= now
        unit = moved(torch.randn((n, now, *X.shape[1:]), generator=generator), X.device)
        noisy = X.unsqueeze(1) + unit.to(X.dtype) * deviation
        out = logits(noisy.flatten(0, 1))
        wins = torch.nn.functional.one_hot(out.argmax(-1), out.shape[-1])
        wins = wins.unflatten(1, (n, now)).sum(2)
        total = wins if total is None else total + wins
    assert total is not None  # samples >= 1
    return total


def lower_bound(count: Array, samples: int, alpha: float) -> Array:
    """The one-sided 1 - alpha Clopper-Pearson lower bound of a proportion, shape of `count`.

    >>> lower_bound(np.array([0, 100]), 100, 0.001).round(4).tolist()
    [0.0, 0.9333]
    """
    from scipy.stats import beta

    low = beta.ppf(alpha, np.maximum(count, 1), samples - count + 1)
    return np.where(count > 0, low, 0.0)


def certified_radius(lower: Array, sigma: float) -> Array:
    """The l2 radius within which the smoothed class cannot change; -1 if it abstains.

    Reference: Cohen et al. 2019, arXiv 1902.02918, theorem 1 with p_B = 1 - p_A (algorithm
    CERTIFY).

    >>> certified_radius(np.array([0.5, 0.8413447]), 0.25).round(3).tolist()
    [-1.0, 0.25]
    """
    from scipy.stats import norm

    return np.where(lower > 0.5, sigma * norm.ppf(np.maximum(lower, 0.5)), -1.0)
