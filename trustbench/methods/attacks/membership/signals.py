"""The signals that a membership attacker reads from one model's output on one row."""

from typing import TYPE_CHECKING

import numpy as np

from trustbench.contracts import Array, System

if TYPE_CHECKING:
    from torch import Tensor


def released_logits(system: System, logits: "Tensor") -> Array:
    """The logits that the attacker uses, [R, n, C]: those of the released probabilities.

    Without an interface they are the model's own logits, bit for bit. Behind an interface they are
    the logarithms of what it shows. A released 0 counts as half of the smallest probability
    released at all, the value that rounding to that resolution hides.
    """
    if system.interface is None:
        return np.asarray(logits.cpu().numpy())
    shown = system.observed(logits.double()).cpu().numpy()
    floor = max(shown[shown > 0].min() / 2, np.finfo(np.float64).tiny)
    return np.asarray(np.log(np.maximum(shown, floor)))


def true_probability(system: System, logits: "Tensor", y: Array) -> Array:
    """The released probability of each row's label, float64 [R, n]."""
    shown = system.observed(logits.double()).cpu().numpy()
    return np.asarray(shown[:, np.arange(len(y)), y])


def logit_confidence(logits: Array, y: Array) -> Array:
    """Logit-scaled confidence log(p_y / (1 - p_y)) [R, n] of logits [R, n, C] and labels [n].

    Computed in float64 as the true logit minus the log-sum-exp of the others: no probability is
    formed, so nothing saturates.

    Reference: Carlini et al. 2022, arXiv 2112.03570, section IV.B (stable form of Eq. 4).
    """
    logits = logits.astype(np.float64)
    index = np.broadcast_to(y[None, :, None], (*logits.shape[:2], 1))
    true = np.take_along_axis(logits, index, axis=2)[..., 0]
    others = logits.copy()
    np.put_along_axis(others, index, -np.inf, axis=2)
    largest = others.max(axis=2)
    return np.asarray(true - largest - np.log(np.exp(others - largest[..., None]).sum(axis=2)))


def losses(phi: Array) -> Array:
    """Cross-entropy of the true label from its logit-scaled confidence: log(1 + exp(-phi))."""
    return np.logaddexp(0.0, -phi)


def loss_gap(loss: Array, member: Array) -> Array:
    """How much larger the mean loss [R, n] is on non-members than on members: [R].

    >>> loss_gap(np.array([[1.0, 3.0, 6.0]]), np.array([[True, True, False]])).tolist()
    [4.0]
    """
    inside = (loss * member).sum(1) / member.sum(1)
    outside = (loss * ~member).sum(1) / (~member).sum(1)
    return np.asarray(outside - inside)
