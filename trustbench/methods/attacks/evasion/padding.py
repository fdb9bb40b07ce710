"""Random inputs for padded batches, such that a replicate's numbers do not depend on the others."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trustbench.methods.random_numbers import moved

Move = Callable[[Tensor, Sequence[torch.Generator], Tensor], Tensor]


def on_real_rows(
    move: Move, X: Tensor, real: Tensor, generators: Sequence[torch.Generator]
) -> Tensor:
    """Applies `move` to the real rows of X [R, N, *shape]; padding (`real` false) stays as it is.

    A batch is padded to its largest replicate. Drawing only for real rows keeps a replicate's
    random numbers, in this batch and all later ones, independent of the other replicates.

    Args:
        move: inputs [R, N, *shape], their generators and `real` -> inputs of the same shape.
        X: inputs [R, N, *shape].
        real: bool [R, N], on the CPU.
        generators: one per replicate.
    """
    inside = moved(real, X.device).view(*real.shape, *[1] * (X.ndim - 2))
    return torch.where(inside, move(X, generators, real), X)
