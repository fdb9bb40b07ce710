"""Signs that an attack failed because gradients were masked, not because the model is robust."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trustbench.contracts import Forward
from trustbench.methods.attacks.evasion.pgd import input_gradient

ZERO_GRADIENT = 1e-6  # norm of the margin's input gradient
ZERO_GRADIENT_SHARE = 0.05
RESTART_GAIN = 0.05
# Any search finds a lucky point that another missed; a smaller gain does not change a verdict.
GRADIENT_FREE_GAIN = 0.02


@dataclass(frozen=True)
class Signs:
    """The evidence behind each sign; every tensor is [R].

    Reference: Athalye et al. 2018, arXiv 1802.00420, section 3.1; Carlini et al. 2019, arXiv
    1902.06705, section 5.
    """

    zero_gradient: Tensor  # share of points whose margin has almost no gradient
    gradient_free_gain: Tensor  # robust accuracy under PGD minus that under Square or transfer
    restart_gain: Tensor  # robust accuracy after one restart minus that after all
    robust_in_box: Tensor  # robust accuracy when every column varies freely within its bounds
    chance: float

    def flags(self) -> Tensor:
        """1 for each replicate that shows any sign, else 0: float [R]."""
        signs = (
            self.zero_gradient > ZERO_GRADIENT_SHARE,
            self.gradient_free_gain > GRADIENT_FREE_GAIN,
            self.restart_gain > RESTART_GAIN,
            self.robust_in_box > self.chance,
        )
        return torch.stack(signs).any(0).to(self.zero_gradient.dtype)


def zero_gradient(forward: Forward, X: Tensor, y: Tensor) -> Tensor:
    """The points X [R, n, *shape] whose logit margin has no gradient to ascend: bool [R, n].

    The margin is used because the gradient of cross-entropy vanishes on every confident point,
    which does not hinder the margin attack.
    """
    gradient, _ = input_gradient(forward, X, y, "margin")
    norm: Tensor = torch.linalg.vector_norm(gradient.flatten(2), dim=-1)
    return norm < ZERO_GRADIENT
