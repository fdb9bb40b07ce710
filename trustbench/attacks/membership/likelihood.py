"""LiRA with the replicates as each other's shadows, on one output or on several at once."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trustbench.attacks.membership.shadows import shadows_of
from trustbench.contracts import Array

# Below so many shadow models a row's own variance is noisier than one variance for all rows
# (Carlini et al. 2022, section VI.C).
PER_EXAMPLE_SHADOWS = 64
TINY = 1e-12  # of a variance

Variance = Literal["equal", "pooled", "per_example"]


@dataclass(frozen=True)
class Scores:
    """Membership scores of every replicate as the target: larger means member.

    `usable` marks rows that enough shadows saw and did not see; `variance` says whether the
    Gaussians' variance is per row, pooled over rows, or one for both hypotheses. `mutual`: targets
    are each other's shadows, so their values depend on each other (see `dependence`).
    """

    values: Array  # float64 [R, n]; 0 where not usable
    usable: Array  # bool [R, n]
    shadows: int  # the fewest that a target has
    variance: Variance
    mutual: bool = False


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
    return Scores(values, usable, shadows, variance, mutual=online)


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


# --- several outputs of one row --------------------------------------------------------------

RIDGE = 1e-9  # of the mean variance; outputs that say the same thing twice stay invertible


def joint_lira(outputs: Array, member: Array) -> Scores:
    """The online attack on D outputs of each row at once, [R, n, D].

    Each hypothesis is a Gaussian with the row's mean and one covariance for all rows, so the
    attack weighs the outputs, and their differences, as the shadows show them to vary together.
    With D = 1 it is `lira(online=True)` with a pooled variance.

    Reference: Carlini et al. 2022, arXiv 2112.03570, section VI (several queries of one row).
    """
    R, n, _ = outputs.shape
    values, usable = np.zeros((R, n)), np.zeros((R, n), dtype=bool)
    shadows, variance = R, _kind(member, online=True)
    pooled: Variance = "equal" if variance == "equal" else "pooled"
    for r in range(R):
        keep = shadows_of(member, r)
        shadows = min(shadows, int(keep.sum()))
        usable[r] = member[keep].any(0) & (~member[keep]).any(0)
        for sign, side in ((1, member[keep]), (-1, ~member[keep])):
            mean, covariance = _joint_gaussian(outputs[keep], side, pooled)
            values[r] += sign * _joint_log_density(outputs[r] - mean, covariance)
        values[r] = np.where(usable[r], values[r], 0.0)
    return Scores(values, usable, shadows, pooled, mutual=True)


def _joint_gaussian(outputs: Array, chosen: Array, kind: Variance) -> tuple[Array, Array]:
    """Means [n, D] and one covariance [D, D] of outputs [S, n, D] over the chosen [S, n]."""
    count, D = chosen.sum(axis=0), outputs.shape[2]
    weight = chosen[..., None].astype(np.float64)
    mean = (weight * outputs).sum(axis=0) / np.maximum(count, 1)[:, None]
    if kind == "equal":
        return mean, np.eye(D)
    residual = (weight * (outputs - mean)).reshape(-1, D)
    covariance = residual.T @ residual / np.maximum(count - 1, 0).sum()
    return mean, covariance + (RIDGE * np.trace(covariance) / D + TINY) * np.eye(D)


def _joint_log_density(residual: Array, covariance: Array) -> Array:
    square = (residual @ np.linalg.inv(covariance) * residual).sum(axis=1)
    return np.asarray(-0.5 * (square + np.linalg.slogdet(covariance)[1]))
