"""Order statistics of calibration scores: one threshold for all rows, or one per category."""

import math

import torch
from torch import Tensor


def rank(n: int, alpha: float) -> int:
    """The rank of the calibration score that is the threshold: ceil((n + 1)(1 - alpha)).

    >>> rank(9, 0.1), rank(100, 0.1)
    (9, 91)
    """
    # 1e-9: a value of (n + 1)(1 - alpha) that is whole in exact arithmetic must not round up.
    return math.ceil((n + 1) * (1 - alpha) - 1e-9)


def thresholds(scores: Tensor, alpha: float) -> Tensor:
    """The k-th smallest of each row of scores [R, n], k = rank(n, alpha); infinite if k > n."""
    k = rank(scores.shape[-1], alpha)
    if k > scores.shape[-1]:
        return torch.full(scores.shape[:-1], torch.inf, dtype=scores.dtype, device=scores.device)
    return scores.kthvalue(k, dim=-1).values


def by_category(scores: Tensor, category: Tensor, categories: int, alpha: float) -> Tensor:
    """Thresholds [R, categories], each from the scores [R, n] of one category [R, n].

    A category with too few scores gets an infinite threshold: its sets hold all labels. Sets then
    cover 1 - alpha of every category's rows.

    Reference: Vovk et al. 2003, "Mondrian confidence machine".

    >>> s, g = torch.tensor([[0.25, 0.5, 0.75, 0.125]]), torch.tensor([[0, 0, 0, 1]])
    >>> by_category(s, g, 2, alpha=0.4).tolist()
    [[0.75, inf]]
    """
    out = scores.new_empty(len(scores), categories)
    for r, (row, own) in enumerate(zip(scores, category, strict=True)):
        for c in range(categories):
            out[r, c] = thresholds(row[own == c], alpha)
    return out
