"""Random numbers that are the same on every device: drawn on the CPU, then copied.

CUDA's generators draw other numbers than the CPU's, so an arm would be another experiment on a GPU.
Streams therefore give generators of the CPU only; what all replicates draw together is one copy.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# torch.rand or torch.randn
Kind = Callable[..., Tensor]


def moved(numbers: Tensor, device: torch.device) -> Tensor:
    """Copies numbers of the CPU to a device, without waiting for what the device computes."""
    if device.type == "cpu":
        return numbers
    return numbers.pin_memory().to(device, non_blocking=True)


def drawn(kind: Kind, shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Numbers [*shape] of one stream, on the device and with the type of `like`."""
    return moved(kind(tuple(shape), generator=generator, dtype=like.dtype), like.device)


def integers(
    below: int, shape: Sequence[int], generators: Sequence[torch.Generator], device: torch.device
) -> Tensor:
    """Uniform integers [R, *shape] in [0, below), each replicate from its own stream."""
    every = [torch.randint(below, tuple(shape), generator=g) for g in generators]
    return moved(torch.stack(every), device)


def draw(
    kind: Kind,
    like: Tensor,
    generators: Sequence[torch.Generator],
    real: Tensor | None = None,
) -> Tensor:
    """Numbers shaped like `like` [R, n, ...], each replicate from its own stream.

    Only the rows in `real` [R, n], on the CPU, are drawn; the others are 0. None: every row. The
    numbers of a replicate, in this draw and all later ones, then depend on its own rows alone.
    """
    n, *rest = like.shape[1:]
    if real is None or bool(real.all()):
        every = [kind((n, *rest), generator=g, dtype=like.dtype) for g in generators]
        return moved(torch.stack(every), like.device)
    padded = torch.zeros(like.shape, dtype=like.dtype)
    for row, inside, generator in zip(padded, real, generators, strict=True):
        row[inside] = kind((int(inside.sum()), *rest), generator=generator, dtype=like.dtype)
    return moved(padded, like.device)
