"""Insertion faithfulness: do the top-ranked parts alone restore the prediction?"""

import math

import numpy as np
from torch import Tensor

from trustbench.contracts import System
from trustbench.methods.explanations.deletion import deletion
from trustbench.methods.explanations.neighbourhood_base import Neighbourhood


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
    """(p_named - p_random) / p_0 per row, [R, n]; 0 for an uninformative explanation.

    p_0 is the probability of the predicted class. p_named is that with only the `share` of parts of
    largest supporting effect in place and all others at their baseline. p_random is the mean over
    `draws` random choices of equally many parts. See `deletion` for the arguments: inserting these
    parts equals deleting the least supporting ones.

    Reference: Petsiuk et al. 2018, arXiv 1806.07421, section 4.1 (insertion), at one share.
    """
    kept = math.ceil(share * area.parts)
    # The half makes `deletion`, which rounds up, remove exactly the parts that are not kept.
    removed = (area.parts - kept - 0.5) / area.parts
    return -deletion(system, area, X, -effects, share=removed, draws=draws, rng=rng)
