"""Insertion faithfulness: do the parts named first bring the prediction back by themselves?"""

import math

import numpy as np
from torch import Tensor

from trustbench.contracts import System
from trustbench.methods.explanations.deletion import deletion
from trustbench.methods.explanations.forms import Neighbourhood


def insertion(
    system: System,
    area: Neighbourhood,
    X: Tensor,
    effects: Tensor,
    *,
    share: float,
    draws: int,
    rng: np.random.Generator,
) -> Tensor:
    """(p_named - p_random) / p_0 per row, [R, n]; 0 for an explanation that knows nothing.

    p_0 is the probability of the predicted class; p_named that with only the `share` of parts
    of largest supporting effect in place and all others at their baseline; p_random the mean
    over `draws` random choices of as many parts. See `deletion` for the arguments: what is
    inserted here is what a deletion of the least supporting parts leaves.

    Reference: Petsiuk et al. 2018, arXiv 1806.07421, section 4.1 (insertion), at one share.
    """
    kept = math.ceil(share * area.parts)
    # The half keeps `deletion`, which rounds up, at exactly the parts that are not kept.
    removed = (area.parts - kept - 0.5) / area.parts
    return -deletion(system, area, X, -effects, share=removed, draws=draws, rng=rng)
