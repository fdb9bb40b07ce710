"""Chooses the neighbourhood for a problem."""

import numpy as np
import torch

from trustbench.contracts import Problem
from trustbench.methods.explanations.image_neighbourhood import LARGE, patches_of
from trustbench.methods.explanations.neighbourhood_base import Neighbourhood, PoolRows
from trustbench.methods.explanations.tabular_neighbourhood import columns_of


def neighbourhood(
    problem: Problem,
    sigma: float = 0.0,
    device: torch.device | str = "cpu",
    pool: PoolRows | None = None,
) -> Neighbourhood:
    """Returns the form that suits the problem.

    Images larger than 8x8 are described by a grid of patches, everything else by its columns.

    Args:
        problem: the problem whose rows are explained.
        sigma: noise of numeric columns (a multiple of the value range for pixels); 0 means .5
            for numeric columns, which are standardised, and .15 for pixels.
        device: the device of the tensors.
        pool: the rows of the training pool, or what stands for them; default: the problem's.
    """
    pool = pool_of(problem) if pool is None else pool
    if is_cut(problem):
        return patches_of(problem, device, pool)
    return columns_of(problem, sigma, device, pool)


def is_cut(problem: Problem) -> bool:
    """Whether rows are images that are cut into patches."""
    return len(problem.shape) == 3 and max(problem.shape[1:]) > LARGE


def pool_of(problem: Problem) -> PoolRows:
    """The training pool of a problem."""
    rows = problem.rows("train")[0].reshape(-1, problem.n_features)
    return PoolRows(rows, rows.mean(axis=0))


def without_rows(problem: Problem) -> PoolRows:
    """A pool for neighbourhoods of which only the parts are read."""
    unknown = np.full(problem.n_features, np.nan, dtype=np.float32)
    return PoolRows(unknown[None][:0], unknown)
