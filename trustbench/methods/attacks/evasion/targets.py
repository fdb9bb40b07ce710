"""Which points an evaluator attacks, in which chunks, and with which random numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trustbench.contracts import Array, System
from trustbench.methods.attacks.evasion.pgd import Worst

# Points are attacked in chunks whose inputs hold about this many numbers per replicate. The chunk
# depends only on the input's size, so no draw depends on the device or on the number of replicates.
CHUNK = 2**16
ROWS = 256  # rows of each replicate in one forward pass without gradients


@dataclass(frozen=True)
class Targets:
    """Attacked test points: X [R, n, *shape] (a view), labels and groups [n]."""

    X: Tensor
    y: Tensor
    group: Array


def targets(system: System, points: int) -> Targets:
    """Returns the first `points` rows of a fixed permutation of the test split.

    The permutation depends only on the run's seed: all arms, replicates and evaluators attack the
    same rows, and fewer points are a subset of more.
    """
    X, y, group = system.problem.rows("test")
    chosen = system.streams.numpy("attacks", "points").permutation(len(y))[:points]
    clean = system.tensor(X[chosen])
    return Targets(
        clean.expand(system.replicates, *clean.shape), system.tensor(y[chosen]), group[chosen]
    )


def generators(system: System, *attack: "int | str") -> list[torch.Generator]:
    """One stream per replicate and `attack`: its name, and the number of a restart.

    Training draws its perturbations from epochs 0, 1, ... of the same purpose; a name separates
    evaluation from it.
    """
    return [
        system.streams.torch("attacks", r, *attack, device=system.device)
        for r in range(system.replicates)
    ]


def in_chunks(
    attack: Callable[[Tensor, Tensor], Worst], X: Tensor, y: Tensor, numbers: int = CHUNK
) -> Worst:
    """Runs `attack` on rows of X [R, n, *shape] and y [n] or [R, n], one chunk at a time."""
    rows = max(32, numbers // X[0, 0].numel())
    parts: Sequence[Worst] = [
        attack(x, t)
        for x, t in zip(torch.split(X, rows, dim=1), torch.split(y, rows, dim=-1), strict=True)
    ]
    return Worst(torch.cat([p.X for p in parts], 1), torch.cat([p.score for p in parts], 1))
