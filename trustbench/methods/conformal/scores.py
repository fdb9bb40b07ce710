"""Conformity scores of every label: LAC, APS, RAPS, SAPS. Small scores enter a set first."""

from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor

Score = Literal["aps", "lac"]
# (probabilities [..., C], one U in [0, 1] per row [...]) -> scores of every label [..., C].
ScoreFunction = Callable[[Tensor, Tensor], Tensor]


def lac(probabilities: Tensor, uniforms: Tensor) -> Tensor:  # noqa: ARG001 one signature
    """Scores 1 - p_y of every label, [..., C]; deterministic.

    Reference: Sadinle et al. 2019, arXiv 1609.00451.

    >>> import torch
    >>> lac(torch.tensor([0.75, 0.25]), torch.tensor(0.0)).tolist()
    [0.25, 0.75]
    """
    return 1 - probabilities


def aps(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """Scores of every label, [..., C]: the mass of likelier labels plus U p_y.

    One U [...] serves all labels of a row, so sets are nested in the order of probability.

    Reference: Romano et al. 2020, arXiv 2006.02544, section 2.1.

    >>> import torch
    >>> aps(torch.tensor([0.25, 0.75]), torch.tensor(0.5)).tolist()
    [0.875, 0.375]
    """
    return raps(probabilities, uniforms, penalty=0.0, k_reg=0)


def raps(probabilities: Tensor, uniforms: Tensor, penalty: float, k_reg: int) -> Tensor:
    """APS scores plus `penalty` for each rank beyond `k_reg`: [..., C]; the likeliest has rank 1.

    Reference: Angelopoulos et al. 2021, arXiv 2009.14193, section 2.

    >>> import torch
    >>> raps(torch.tensor([0.25, 0.75]), torch.tensor(0.5), penalty=0.125, k_reg=1).tolist()
    [1.0, 0.375]
    """
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    scores = ordered.cumsum(-1) - ordered + uniforms[..., None] * ordered
    if penalty:
        # Position j has rank j + 1.
        beyond = (_positions(ordered) + 1 - k_reg).clamp(min=0)
        scores = scores + penalty * beyond
    return _in_order_of_labels(scores, order)


def saps(probabilities: Tensor, uniforms: Tensor, weight: float) -> Tensor:
    """U p_max for the likeliest label, p_max + (rank - 2 + U) `weight` for the others: [..., C].

    It uses only the largest probability, since those of unlikely labels are the least reliable.

    Reference: Huang et al. 2024, arXiv 2310.06430, section 3.

    >>> import torch
    >>> saps(torch.tensor([0.25, 0.75]), torch.tensor(0.5), weight=0.25).tolist()
    [0.875, 0.375]
    """
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    u, top = uniforms[..., None], ordered[..., :1]
    position = _positions(ordered)
    others = top + (position - 1 + u) * weight
    return _in_order_of_labels((u * top).where(position == 0, others), order)


SCORES: Mapping[Score, ScoreFunction] = {"aps": aps, "lac": lac}


def _positions(ordered: Tensor) -> Tensor:
    """0, 1, ..., C - 1 along the last axis, in the precision of `ordered`."""
    return ordered.new_ones(ordered.shape[-1]).cumsum(0) - 1


def _in_order_of_labels(scores: Tensor, order: Tensor) -> Tensor:
    """Moves scores by rank [..., C] to the positions of their labels."""
    return scores.new_empty(scores.shape).scatter_(-1, order, scores)
