"""Which points an evaluator attacks, in which chunks, and with which random numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from trustbench.contracts import Array, Forward, System
from trustbench.methods.attacks.evasion.pgd import Worst, margin

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


def correct_before(system: System, at: Targets) -> Tensor:
    """Which points are classified correctly before any attack: bool [R, n]."""
    return margin(system.logits(at.X, ROWS), at.y) < 0


def generators(system: System, *attack: "int | str") -> list[torch.Generator]:
    """One stream per replicate and `attack`: its name, and the number of a restart.

    Training draws its perturbations from epochs 0, 1, ... of the same purpose; a name separates
    evaluation from it.
    """
    return [system.streams.torch("attacks", r, *attack) for r in range(system.replicates)]


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


def attack_points(
    system: System,
    X: Tensor,
    y: Tensor,
    attack: Callable[..., Worst],
    *stream: "int | str",
    forward: Forward | None = None,
) -> Worst:
    """The worst points that `attack` finds against the system, or against another `forward`.

    `attack` takes what `pgd` takes first: forward, X, y and `generators`, which are those of
    `stream`.
    """
    run = partial(attack, forward or system.forward, generators=generators(system, *stream))
    return in_chunks(run, X, y)


def survivors(
    system: System, at: Targets, attack: Callable[..., Worst], stream: str, restarts: int
) -> Tensor:
    """Which points survive every restart of an attack: bool [R, n]."""
    runs = [attack_points(system, at.X, at.y, attack, stream, k).fooled for k in range(restarts)]
    return ~torch.stack(runs).any(0)
