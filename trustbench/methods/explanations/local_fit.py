"""Held-out fit of linear surrogates of any target on a neighbourhood's draws."""

from torch import Tensor

from trustbench.methods.explanations import ridge
from trustbench.methods.explanations.lime_surrogate import RIDGE
from trustbench.methods.explanations.neighbourhood_base import Draws


def held_out_r2(draws: Draws, targets: Tensor) -> Tensor:
    """R2 [K, m] of targets [K, m, s]: fitted on the first half of the draws, scored on the rest.

    The surrogate, its penalty and its weights are those of `Lime`. K targets (replicates, or
    several outputs of each) share the draws, whose L is 1. NaN if the second half of a target is
    constant, since nothing is left to explain.
    """
    if draws.Z.shape[0] != 1:
        raise ValueError("the rows differ by replicate; targets can share draws of L = 1 only")
    half = targets.shape[-1] // 2
    design, weights = draws.design[0], draws.weights[0]  # [m or 1, s, p], [m or 1, s]
    shared = len(design) == 1
    t = targets.reshape(1, -1, targets.shape[-1]) if shared else targets.transpose(0, 1)
    fitted = ridge.fit(design[:, :half], weights[:, :half], t[..., :half], RIDGE)
    scores = ridge.r2(design[:, half:], weights[:, half:], t[..., half:], *fitted)
    return scores.reshape(targets.shape[:2]) if shared else scores.T
