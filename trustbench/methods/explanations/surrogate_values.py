"""The prediction of a local surrogate for the row that it explains."""

import torch
from torch import Tensor

from trustbench.contracts import System
from trustbench.methods.explanations import ridge
from trustbench.methods.explanations.image_neighbourhood import Patches
from trustbench.methods.explanations.lime_surrogate import RIDGE, Lime, Stream
from trustbench.methods.explanations.neighbourhood_base import Neighbourhood


def surrogate_values(
    system: System, lime: Lime, area: Neighbourhood, X: Tensor, stream: Stream
) -> Tensor:
    """The surrogate's prediction float64 [R, n] of its target, at each row of X [n, *shape].

    The surrogates are those of `Lime.attributions` for the same stream.
    """
    values = []
    for draws, targets in lime.draws(system, area, X, stream):
        design, weights = draws.design.flatten(0, 1), draws.weights.flatten(0, 1)
        shared = len(design) == 1  # one design for all rows, or one for each
        R, m, s = targets.shape
        t = targets.reshape(1, R * m, s) if shared else targets.transpose(0, 1)
        coefficients, intercepts = ridge.fit(design, weights, t, RIDGE)
        # A row is its own unperturbed copy: no step on columns, every patch present.
        here = intercepts + coefficients.sum(-1) if isinstance(area, Patches) else intercepts
        values.append(here.reshape(R, m) if shared else here.T)
    return torch.cat(values, dim=1)
