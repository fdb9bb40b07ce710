"""Weighted ridge regression, many targets per design, and its R2."""

import torch
from torch import Tensor

# With a smaller weighted variance a target is constant and R2 is undefined (interactions 3.4).
CONSTANT = 1e-10


def fit(design: Tensor, weights: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Coefficients [B, k, p] and intercepts [B, k] that minimise the penalised squared error.

    sum_i w_i (t_i - b - x_i c)^2 + alpha |c|^2, the intercept unpenalised, as scikit-learn's
    Ridge and therefore the `lime` package have it.

    Args:
        design: float64 [B, s, p]; B designs of s samples.
        weights: float64 [B, s], positive.
        targets: float64 [B, k, s]; k targets share each design.
        alpha: the penalty.

    >>> x = torch.tensor([[[-1.0], [0.0], [1.0]]], dtype=torch.float64)
    >>> c, b = fit(x, torch.ones(1, 3, dtype=torch.float64), 3 * x.mT + 1, alpha=1.0)
    >>> round(c.item(), 9), round(b.item(), 9)  # 3 * 2 / (2 + alpha)
    (2.0, 1.0)
    """
    share = (weights / weights.sum(-1, keepdim=True))[:, None]  # [B, 1, s]
    centre = share @ design  # [B, 1, p]
    centred = design - centre
    mean = (share * targets).sum(-1)  # [B, k]
    w = weights[:, None]
    gram = (centred.mT * w) @ centred
    gram += alpha * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    moment = (w * (targets - mean[..., None])) @ centred  # [B, k, p]
    coefficients = torch.cholesky_solve(moment.mT, torch.linalg.cholesky(gram)).mT
    return coefficients, mean - (coefficients @ centre.mT).squeeze(-1)


def intercept(design: Tensor, weights: Tensor, targets: Tensor, coefficients: Tensor) -> Tensor:
    """The best intercepts [B, k] for given coefficients."""
    share = (weights / weights.sum(-1, keepdim=True))[:, None]
    return (share * (targets - coefficients @ design.mT)).sum(-1)


def r2(
    design: Tensor, weights: Tensor, targets: Tensor, coefficients: Tensor, intercepts: Tensor
) -> Tensor:
    """Weighted R2 [B, k] of given surrogates; NaN if the target does not vary.

    >>> x = torch.tensor([[[-1.0], [0.0], [1.0]]], dtype=torch.float64)
    >>> one = torch.ones(1, 3, dtype=torch.float64)
    >>> slope = torch.full((1, 1, 1), 0.5, dtype=torch.float64)
    >>> r2(x, one, x.mT, slope, torch.zeros(1, 1, dtype=torch.float64)).item()
    0.75
    """
    share = (weights / weights.sum(-1, keepdim=True))[:, None]
    mean = (share * targets).sum(-1, keepdim=True)
    total = (share * (targets - mean).square()).sum(-1)
    residual = targets - coefficients @ design.mT - intercepts[..., None]
    lost = (share * residual.square()).sum(-1)
    return torch.where(total < CONSTANT, torch.nan, 1 - lost / total)
