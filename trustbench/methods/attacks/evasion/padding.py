"""Random inputs for padded batches, such that a replicate's numbers do not depend on the others."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Move = Callable[[Tensor, Sequence[torch.Generator]], Tensor]


def on_real_rows(
    move: Move, X: Tensor, real: Tensor, generators: Sequence[torch.Generator]
) -> Tensor:
    """Applies `move` to the real rows of X [R, N, *shape]; padding (`real` false) stays as it is.

    A batch is padded to its largest replicate. Drawing only for real rows keeps a replicate's
    random numbers, in this batch and all later ones, independent of the other replicates.

    Args:
        move: inputs [1, n, *shape] and their generator -> inputs of the same shape.
        X: inputs [R, N, *shape].
        real: bool [R, N].
        generators: one per replicate.
    """
    moved = X.clone()
    for r, (rows, generator) in enumerate(zip(real, generators, strict=True)):
        moved[r, rows] = move(X[r, rows].unsqueeze(0), [generator])[0]
    return moved
