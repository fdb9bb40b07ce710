"""Relaxation against the functions themselves, on intervals of every kind."""

import pytest
import torch

from trustbench.methods.verification.relaxations import Relaxation, lines

FUNCTIONS = {"relu": torch.relu, "tanh": torch.tanh}


def intervals():
    """Low and high [n]: on both sides of 0, around it, wide, narrow and of no width."""
    g = torch.Generator().manual_seed(0)
    centre = 3 * torch.randn(400, generator=g, dtype=torch.float64)
    width = 10 ** (4 * torch.rand(400, generator=g, dtype=torch.float64) - 3)
    low, high = centre - width, centre + width
    ends = torch.tensor([[0.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-5.0, 0.1], [-0.1, 5.0], [2.0, 2.0]])
    ends = torch.cat([ends, torch.tensor([[-1e-8, 1e-8], [-1e-7, 1e-3]])])
    return torch.cat([low, ends[:, 0].double()]), torch.cat([high, ends[:, 1].double()])


def violation(function, found, low, high):
    """How far the function leaves the two lines, at most."""
    x = low[:, None] + torch.linspace(0, 1, 401, dtype=torch.float64) * (high - low)[:, None]
    below = found.lower_slope[:, None] * x + found.lower_offset[:, None]
    above = found.upper_slope[:, None] * x + found.upper_offset[:, None]
    return float(torch.maximum(below - function(x), function(x) - above).max())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_stays_between_its_lines(name):
    low, high = intervals()
    found = lines(name, low, high)
    assert violation(FUNCTIONS[name], found, low, high) < 1e-12


def test_tangents_where_a_chord_belongs_are_caught():
    """The usual mistakes: a tangent at the middle of every interval, and lines swapped."""
    low, high = intervals()
    middle = (low + high) / 2
    slope = 1 - middle.tanh() ** 2
    tangent = Relaxation(
        slope, middle.tanh() - slope * middle, slope, middle.tanh() - slope * middle
    )
    assert violation(torch.tanh, tangent, low, high) > 0.1
    right = lines("tanh", low, high)
    swapped = Relaxation(*right[2:], *right[:2])
    assert violation(torch.tanh, swapped, low, high) > 0.1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lines_touch_where_the_function_is_known(name):
    """The gap closes with the interval; around 0, ReLU's upper line is the chord."""
    low = torch.linspace(-3, 3, 50, dtype=torch.float64)
    found = lines(name, low, low + 1e-3)
    x = low + 5e-4
    gap = (found.upper_slope - found.lower_slope) * x + found.upper_offset - found.lower_offset
    assert gap.max() < 1e-3
    chord = lines("relu", torch.tensor([-1.0]), torch.tensor([3.0]))
    assert chord.upper_slope.item() == pytest.approx(0.75)
    assert chord.upper_offset.item() == pytest.approx(0.75)
    assert chord.lower_slope.item() == 1.0
