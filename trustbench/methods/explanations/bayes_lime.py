"""The Bayesian posterior of LIME's coefficients, for many targets per design."""

from typing import NamedTuple

import torch
from scipy.stats import t as student
from torch import Tensor

from trustbench.contracts import System
from trustbench.methods.explanations.lime_surrogate import RIDGE, Lime, Stream
from trustbench.methods.explanations.neighbourhood_base import Draws, Neighbourhood


class Posterior(NamedTuple):
    """Student t marginals of the coefficients of B designs with k targets each."""

    mean: Tensor  # float64 [B, k, p]
    scale: Tensor  # float64 [B, k, p]
    freedom: int

    def interval(self, level: float) -> tuple[Tensor, Tensor]:
        """Ends of the central credible intervals of that level."""
        reach = float(student.ppf(0.5 + level / 2, self.freedom)) * self.scale
        return self.mean - reach, self.mean + reach


def posterior(design: Tensor, weights: Tensor, targets: Tensor) -> Posterior:
    """The posterior of the coefficients of a linear surrogate, given weighted perturbations.

    A perturbation of weight w has noise of variance s2 / w; coefficients are N(0, s2 I) and s2 has
    the prior density 1 / s2. The mean is LIME's ridge solution. The paper's code draws the
    intercept from the same prior as the coefficients. Here it is flat, since LIME leaves the
    intercept unpenalised, which takes one degree of freedom from the paper's N.

    Args:
        design: float64 [B, s, p].
        weights: float64 [B, s], positive.
        targets: float64 [B, k, s].

    Reference: Slack et al. 2021, arXiv 2008.05030, equations 3 to 6, with n0 -> 0.
    """
    share = (weights / weights.sum(-1, keepdim=True))[:, None]  # [B, 1, s]
    centred = design - share @ design
    deviation = targets - (share * targets).sum(-1, keepdim=True)
    w = weights[:, None]
    precision = (centred.mT * w) @ centred
    precision += RIDGE * torch.eye(precision.shape[-1], dtype=w.dtype, device=w.device)
    factor = torch.linalg.cholesky(precision)
    mean = torch.cholesky_solve(((w * deviation) @ centred).mT, factor).mT
    lost = (w * (deviation - mean @ centred.mT).square()).sum(-1)
    lost = lost + RIDGE * mean.square().sum(-1)  # [B, k]
    freedom = design.shape[1] - 1
    spread = torch.cholesky_inverse(factor).diagonal(dim1=-2, dim2=-1)  # [B, p]
    return Posterior(mean, (lost[..., None] / freedom * spread[:, None]).sqrt(), freedom)


def intervals(
    lime: Lime, system: System, area: Neighbourhood, X: Tensor, level: float, repeat: int = 0
) -> tuple[Tensor, Tensor]:
    """Ends [R, n, d] of the credible intervals around LIME's released attributions of X.

    The perturbations are those of the attributions that `lime` releases for the same `repeat`.
    """
    lower, upper = [], []
    for draws, targets in lime.draws(system, area, X, Stream.RELEASED, repeat):
        low, high = _posterior_of(draws, targets).interval(level)
        lower.append(_per_row(low, draws, targets))
        upper.append(_per_row(high, draws, targets))
    low, high = (area.spread(torch.cat(ends, dim=1)).to(X.dtype) for ends in (lower, upper))
    return low, high


def _posterior_of(draws: Draws, targets: Tensor) -> Posterior:
    """Posteriors of targets [R, m, s], grouped by shared design."""
    designs = draws.design.flatten(0, 1)
    by_row = _rows_differ(draws)
    grouped = (
        targets.transpose(0, 1) if by_row else targets.reshape(len(designs), -1, targets.shape[-1])
    )
    return posterior(designs, draws.weights.flatten(0, 1), grouped)


def _per_row(values: Tensor, draws: Draws, targets: Tensor) -> Tensor:
    """[B, k, p] -> [R, m, p]; undoes the grouping."""
    return values.transpose(0, 1) if _rows_differ(draws) else values.reshape(*targets.shape[:2], -1)


def _rows_differ(draws: Draws) -> bool:
    """Whether each row has its own design, shared by all replicates."""
    return draws.design.shape[0] == 1 and draws.design.shape[1] > 1
