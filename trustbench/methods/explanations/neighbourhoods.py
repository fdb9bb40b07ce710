"""Chooses the neighbourhood for a problem."""

import torch

from trustbench.contracts import Problem
from trustbench.methods.explanations.image_neighbourhood import LARGE, patches_of
from trustbench.methods.explanations.neighbourhood_base import Neighbourhood
from trustbench.methods.explanations.tabular_neighbourhood import columns_of


def neighbourhood(
    problem: Problem, sigma: float = 0.0, device: torch.device | str = "cpu"
) -> Neighbourhood:
    """Returns the form that suits the problem.

    Images larger than 8x8 are described by a grid of patches, everything else by its columns.

    Args:
        problem: the problem whose rows are explained.
        sigma: noise of numeric columns (a multiple of the value range for pixels); 0 means .5
            for numeric columns, which are standardised, and .15 for pixels.
        device: the device of the tensors.
    """
    image = len(problem.shape) == 3 and max(problem.shape[1:]) > LARGE
    return patches_of(problem, device) if image else columns_of(problem, sigma, device)
