"""The smallest radius at which PGD fools each point, for all replicates and points at once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from trustbench.methods.attacks.evasion.box import ThreatModel

# Radii [R, n] -> whether each point is fooled within its own radius, bool [R, n].
Fooled = Callable[[Tensor], Tensor]


def minimal_radius(
    fooled: Fooled, grid: Sequence[float], like: Tensor, bisections: int
) -> tuple[Tensor, Tensor]:
    """Returns the smallest radius tried that fools each point, and whether one did, both [R, n].

    A binary search over the grid, then bisection between neighbours, with a separate radius for
    each point. An attack succeeded at the returned radius, so it is an upper bound of the true
    distance, whatever the attack misses. Points that are not fooled at the largest radius get that
    radius, and `found` is false.

    Args:
        fooled: the attack.
        grid: increasing radii, all above 0.
        like: a tensor [R, n] of the type and device wanted.
        bisections: halvings of the interval that the grid leaves.

    Reference: Carlini & Wagner 2017, arXiv 1608.04644, section V.A (bisection); Tran et al.
    2024, arXiv 2211.11835 (distance to the decision boundary).
    """
    radii = torch.tensor([0.0, *grid], dtype=like.dtype, device=like.device)
    last = len(grid)
    low = torch.zeros_like(like, dtype=torch.int64)
    high = torch.full_like(low, last + 1)
    for _ in range(math.ceil(math.log2(last + 1))):
        middle = ((low + high) // 2).clamp(1, last)
        hit = fooled(radii[middle])
        open_ = high - low > 1
        low = torch.where(open_ & ~hit, middle, low)
        high = torch.where(open_ & hit, middle, high)
    found = high <= last
    below, above = radii[low.clamp(max=last)], radii[high.clamp(max=last)]
    for _ in range(bisections):
        centre = (below + above) / 2
        hit = fooled(centre)
        below, above = torch.where(hit, below, centre), torch.where(hit, centre, above)
    return torch.where(found, above, radii[last]), found


def at_radii(threat: ThreatModel, radii: Tensor) -> ThreatModel:
    """Returns the same threat with a separate radius for each point, radii [R, n]."""
    return replace(threat, epsilon=radii)
