"""Membership inference: LiRA with the replicates as each other's shadows, and its metrics."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trustbench.contracts import Array

# Below so many shadow models a row's own variance is noisier than one variance for all rows
# (Carlini et al. 2022, section VI.C).
PER_EXAMPLE_SHADOWS = 64
TINY = 1e-12  # of a variance

Variance = Literal["equal", "pooled", "per_example"]


def logit_confidence(logits: Array, y: Array) -> Array:
    """Logit-scaled confidence log(p_y / (1 - p_y)), [R, n], of logits [R, n, C] and labels [n].

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


@dataclass(frozen=True)
class Scores:
    """Membership scores of every replicate as the target: larger means member.

    `usable` marks rows that enough shadows saw and did not see; `variance` says whether the
    Gaussians' variance is per row, pooled over rows, or one for both hypotheses.
    """

    values: Array  # float64 [R, n]; 0 where not usable
    usable: Array  # bool [R, n]
    shadows: int  # the fewest that a target has
    variance: Variance


def shadows_of(member: Array, target: int) -> Array:
    """Which replicates may be shadows of `target`: bool [R].

    All others but those trained on exactly the rows that the target did not see. A partner in
    a complementary pair is a function of what the attacker wants to know: with it, every row has
    one IN shadow fewer when it is a member and one OUT shadow fewer when it is not, and the
    difference in averaging error alone moves the AUC of a model that leaks nothing off one half.
    """
    keep = (member != ~member[target]).any(axis=1)
    keep[target] = False
    return np.asarray(keep)


def lira(phi: Array, member: Array, *, online: bool) -> Scores:
    """Likelihood-ratio scores with every replicate once the target, the others its shadows.

    `online` compares N(mean_in, var_in) with N(mean_out, var_out); otherwise the score is the
    one-sided z value of phi under the OUT shadows alone.

    Args:
        phi: logit-scaled confidence [R, n].
        member: which rows each replicate was trained on, bool [R, n].
        online: whether the attacker trains IN shadows for each row.

    Reference: Carlini et al. 2022, arXiv 2112.03570, Algorithm 1 and section V (offline).
    """
    values, usable = np.zeros(phi.shape), np.zeros(phi.shape, dtype=bool)
    shadows, variance = len(phi), _kind(member, online)
    for r in range(len(phi)):
        keep = shadows_of(member, r)
        shadows = min(shadows, int(keep.sum()))
        out = _gaussian(phi[keep], ~member[keep], variance)
        if not online:
            usable[r] = out.count > 0
            z = (phi[r] - out.mean) / np.sqrt(out.variance)
            values[r] = np.where(usable[r], z, 0.0)
            continue
        inside = _gaussian(phi[keep], member[keep], variance)
        usable[r] = (out.count > 0) & (inside.count > 0)
        ratio = _log_density(phi[r], inside) - _log_density(phi[r], out)
        values[r] = np.where(usable[r], ratio, 0.0)
    return Scores(values, usable, shadows, variance)


@dataclass(frozen=True)
class _Gaussian:
    mean: Array  # [n]; 0 where count is 0
    variance: Array  # [n] or []
    count: Array  # int [n]


def _kind(member: Array, online: bool) -> Variance:
    """One kind of variance for all targets, from the shadows that each of them has."""
    kept = [shadows_of(member, r) for r in range(len(member))]
    if min(int(k.sum()) for k in kept) >= PER_EXAMPLE_SHADOWS:
        return "per_example"
    sides = (False, True) if online else (False,)
    # A pooled variance needs residuals: some row with two shadows on each side.
    residuals = all(((member[k] == side).sum(0) > 1).any() for k in kept for side in sides)
    return "pooled" if residuals else "equal"


def _gaussian(phi: Array, chosen: Array, kind: Variance) -> _Gaussian:
    """Mean and variance of phi [S, n] over the shadows chosen [S, n] of each row."""
    count = chosen.sum(axis=0)
    mean = np.where(chosen, phi, 0.0).sum(axis=0) / np.maximum(count, 1)
    if kind == "equal":  # the ranking of the scores does not depend on its value
        return _Gaussian(mean, np.ones(()), count)
    squares = np.where(chosen, phi - mean, 0.0) ** 2
    if kind == "pooled":
        free = np.maximum(count - 1, 0).sum()
        return _Gaussian(mean, np.maximum(squares.sum() / free, TINY), count)
    own = squares.sum(axis=0) / np.maximum(count - 1, 1)
    return _Gaussian(mean, np.maximum(own, TINY), np.where(count > 1, count, 0))


def _log_density(x: Array, g: _Gaussian) -> Array:
    return np.asarray(-0.5 * ((x - g.mean) ** 2 / g.variance + np.log(g.variance)))


# --- metrics ---------------------------------------------------------------------------------


def auc(scores: Array, member: Array) -> float:
    """The area under the ROC curve, ties counted half: P(member > non-member) + P(equal) / 2.

    >>> auc(np.array([3.0, 1.0, 1.0, 0.0]), np.array([True, True, False, False]))
    0.875
    """
    inside = int(member.sum())
    outside = len(member) - inside
    _, position, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2  # tied scores share their mean rank
    ranks = rank[position][member].sum()
    return float((ranks - inside * (inside + 1) / 2) / (inside * outside))


def resolves(fpr: float, non_members: int) -> bool:
    """Whether a false-positive rate can be told from 0: it must allow one false positive.

    >>> resolves(0.01, 100), resolves(0.01, 99), resolves(0.001, 999)
    (True, False, False)
    """
    return allowed(fpr, non_members) >= 1


def allowed(fpr: float, non_members: int) -> int:
    """How many false positives a rate allows (the product's rounding error is forgiven)."""
    return int(np.floor(fpr * non_members + 1e-9))


def tpr_at(scores: Array, member: Array, fpr: float) -> float:
    """The largest true-positive rate of any threshold whose false-positive rate is at most `fpr`.

    >>> tpr_at(np.array([3.0, 1.0, 2.0, 0.0]), np.array([True, True, False, False]), 0.5)
    1.0
    """
    inside, outside = scores[member], scores[~member]
    k = allowed(fpr, len(outside))
    if k >= len(outside):
        return 1.0
    barrier = np.partition(outside, len(outside) - 1 - k)[len(outside) - 1 - k]
    return float((inside > barrier).mean())


def oracle_balanced_accuracy(members: Array, non_members: Array) -> float:
    """The best balanced accuracy of any threshold on the scores, chosen on these very scores.

    An upper bound on what an attacker reaches: the threshold is swept on the evaluation data, as
    in Song et al. Never report it as an attack; it exists to reproduce published numbers.

    Reference: Song, Shokri & Mittal 2019, arXiv 1905.10291, section 4.1.

    >>> oracle_balanced_accuracy(np.array([0.9, 0.8, 0.4, 0.3]), np.array([0.5, 0.2, 0.1, 0.0]))
    0.875
    """
    thresholds = np.concatenate([members, non_members])
    tpr = 1 - np.searchsorted(np.sort(members), thresholds, side="left") / len(members)
    tnr = np.searchsorted(np.sort(non_members), thresholds, side="left") / len(non_members)
    return float(max(0.5, (0.5 * (tpr + tnr)).max()))
