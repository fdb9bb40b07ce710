"""The cheapest change that crosses a hyperplane within bounds: exact, for all rows at once."""

import torch
from torch import Tensor

from trustbench.methods.recourse.actions import Norm


def nearest(slope: Tensor, gap: Tensor, low: Tensor, high: Tensor, norm: Norm) -> Tensor:
    """The smallest change [..., d] with slope . change >= gap and low <= change <= high.

    Where the bounds do not allow it, the change that comes closest: every column at its better end.

    Args:
        slope: the gradient of a linear function [..., d].
        gap: by how much the function must grow, [...]; at 0 and below nothing changes.
        low: the largest falls [..., d], at most 0.
        high: the largest rises [..., d], at least 0.
        norm: of the change.

    Reference: for `l2`, the change is clip(t slope, low, high) with the smallest t that suffices
    (Boyd and Vandenberghe 2004, section 5.5.3, the conditions of Karush, Kuhn and Tucker); for
    `l1`, the steepest columns are used up first (Dantzig 1957, the fractional knapsack).

    >>> slope, wide = torch.tensor([3.0, 4.0]), torch.tensor([9.0, 9.0])
    >>> nearest(slope, torch.tensor(5.0), -wide, wide, "l2").tolist()  # gap / |slope|^2 . slope
    [0.6000000238418579, 0.800000011920929]
    >>> nearest(slope, torch.tensor(5.0), -wide, wide, "l1").tolist()
    [0.0, 1.25]
    """
    ends = torch.where(slope > 0, high, low)
    gain = slope * ends  # at least 0
    # in the order in which columns reach their ends (l2), or are used up (l1)
    key = -slope.abs() if norm == "l1" else _times(ends, slope)
    order = key.argsort(-1)
    sorted_gain, steep, time = (v.gather(-1, order) for v in (gain, slope.square(), key))
    used = sorted_gain.cumsum(-1) - sorted_gain  # of the columns before
    need = gap.clamp(min=0.0).unsqueeze(-1)
    if norm == "l1":
        share = (need - used) / sorted_gain.clamp(min=torch.finfo(gain.dtype).tiny)
        back = torch.zeros_like(share).scatter(-1, order, share.clamp(0.0, 1.0))
        return ends * back
    free = steep.flip(-1).cumsum(-1).flip(-1)  # of the columns that have not reached their end
    reached = used + time * free >= need
    first = torch.where(reached.any(-1), reached.double().argmax(-1), -1).unsqueeze(-1)
    at = first.clamp(min=0)
    t = (need - used.gather(-1, at)) / free.gather(-1, at).clamp(min=torch.finfo(gain.dtype).tiny)
    moved = torch.maximum(torch.minimum(t.clamp(min=0.0) * slope, high), low)
    return torch.where(first < 0, torch.where(gain > 0, ends, 0.0), moved)


def _times(ends: Tensor, slope: Tensor) -> Tensor:
    """The t at which t slope reaches the end of a column; for flat columns 0, as they gain none."""
    flat = slope == 0
    return torch.where(flat, 0.0, ends / torch.where(flat, 1.0, slope))
