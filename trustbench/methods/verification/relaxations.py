"""Relaxation below and above an activation function on an interval."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trustbench.contracts import Activation

HALVINGS = 40  # of the interval in which the tangent point lies
NARROW = 1e-6  # an interval on which constants are as good as lines


class Relaxation(NamedTuple):
    """`slope` x + `offset` below and above a function on [low, high], elementwise."""

    lower_slope: Tensor
    lower_offset: Tensor
    upper_slope: Tensor
    upper_offset: Tensor


def lines(activation: Activation, low: Tensor, high: Tensor) -> Relaxation:
    """The two lines of an activation on each interval [low, high].

    Reference: Zhang et al. 2018, arXiv 1811.00866, section 3.2 and table 2 (ReLU with the adaptive
    slope below; tangents and chords of tanh).
    """
    return _ABOVE[activation](low, high)


def _relu(low: Tensor, high: Tensor) -> Relaxation:
    on, off = low >= 0, high <= 0
    chord = high / (high - low).clamp(min=torch.finfo(low.dtype).tiny)
    one, zero = torch.ones_like(low), torch.zeros_like(low)
    slope = torch.where(on, one, torch.where(off, zero, chord))
    offset = torch.where(on | off, zero, -chord * low)
    # of the two lines through 0, the one that leaves the smaller area between the lines
    below = torch.where(on, one, torch.where(off, zero, (high >= -low).to(low.dtype)))
    return Relaxation(below, zero, slope, offset)


def _tanh(low: Tensor, high: Tensor) -> Relaxation:
    """An odd function: a line above it on [-high, -low], mirrored, lies below it on [low, high]."""
    slope, offset = _above_tanh(low, high)
    mirrored, shift = _above_tanh(-high, -low)
    return Relaxation(mirrored, -shift, slope, offset)


def _above_tanh(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and offset of a line above tanh on [low, high].

    Where tanh is convex (below 0) the chord is best, where it is concave a tangent. On an interval
    around 0 the best line goes through the lower end and touches tanh at some d > 0. Every tangent
    at a point from d on lies above as well, so the search keeps to that side.
    """
    chord = (high.tanh() - low.tanh()) / (high - low).clamp(min=NARROW)
    through_low = low.tanh() - chord * low
    before, after = torch.zeros_like(high), high.clamp(min=0)
    for _ in range(HALVINGS):
        middle = (before + after) / 2
        covers = middle.tanh() + _steepness(middle) * (low - middle) >= low.tanh()
        before, after = torch.where(covers, before, middle), torch.where(covers, middle, after)
    touched = after.tanh() + _steepness(after) * (low - after) >= low.tanh()
    d = torch.where(low >= 0, (low + high) / 2, after)
    tangent = _steepness(d)
    use = (low >= 0) | ((high > 0) & touched)
    slope = torch.where(use, tangent, chord)
    offset = torch.where(use, d.tanh() - tangent * d, through_low)
    narrow = high - low < NARROW
    return (
        torch.where(narrow, torch.zeros_like(slope), slope),
        torch.where(narrow, high.tanh(), offset),
    )


def _steepness(x: Tensor) -> Tensor:
    return 1 - x.tanh().square()


_ABOVE: dict[Activation, Callable[[Tensor, Tensor], Relaxation]] = {"relu": _relu, "tanh": _tanh}
