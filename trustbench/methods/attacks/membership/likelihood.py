"""LiRA with the replicates as each other's shadow models, on one or several outputs."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from trustbench.contracts import Array
from trustbench.methods.attacks.membership.shadows import shadows_of

# With fewer shadow models a row's own variance is noisier than one variance for all rows (Carlini
# et al. 2022, section VI.C).
PER_EXAMPLE_SHADOWS = 64
TINY = 1e-12  # of a variance
# Without memorisation the mean over targets is a degenerate U-statistic of order two: its variance
# is twice that of independent values (Hoeffding 1948, section 5).
SHARED_PAIRS = math.sqrt(2)

Variance = Literal["equal", "pooled", "per_example"]


@dataclass(frozen=True)
class Scores:
    """Membership scores of every target [R, n]; larger means member.

    `usable` marks rows that enough shadows saw and did not see. `variance` says whether the
    variance of the Gaussians is per row, pooled over rows, or the same for both hypotheses. Targets
    that are each other's shadows have dependent values (see `dependence`). `without` repeats the
    attack of all targets without one shadow; if that is expensive, `widening` is the factor by
    which standard errors exceed those of independent values. `mutual` says whether the attack's own
    intervals need this correction; those of attacks that read only OUT shadows, or only their mean,
    do not.
    """

    values: Array  # float64 [R, n]; 0 where not usable
    usable: Array  # bool [R, n]
    shadows: int  # the minimum over targets
    variance: Variance
    widening: float | None = None
    mutual: bool = True
    without: "Callable[[int], Scores] | None" = field(default=None, compare=False, repr=False)


def lira(phi: Array, member: Array, *, online: bool, targets: int | None = None) -> Scores:
    """Likelihood-ratio scores in which all other models are the shadows of a target.

    `online` compares N(mean_in, var_in) with N(mean_out, var_out); otherwise the score is the
    one-sided z value of phi under the OUT shadows alone.

    Args:
        phi: logit-scaled confidence [M, n].
        member: which rows each model was trained on, bool [M, n].
        online: whether the attacker trains IN shadows for each row.
        targets: the number of models, from the first, that are targets; default: all.

    Reference: Carlini et al. 2022, arXiv 2112.03570, Algorithm 1 and section V (offline).
    """
    # Sums of squares lose no digits if each row is near its mean.
    phi = phi.astype(np.float64) - phi.mean(axis=0, dtype=np.float64)
    inside, outside = _Sums.over(phi, member), _Sums.over(phi, ~member)
    count = len(phi) if targets is None else targets
    kind = _kind(member, online, count)
    attack = _Attack(phi, member, inside, outside, kind, online, count)
    return replace(attack.scores(), without=lru_cache(maxsize=1)(attack.scores), mutual=online)


@dataclass(frozen=True)
class _Sums:
    """Sums of phi over some shadows, by row: arrays [n]."""

    count: Array
    total: Array
    squares: Array

    @classmethod
    def over(cls, phi: Array, chosen: Array) -> "_Sums":
        """Sums over the chosen shadows of each row; phi and chosen are [S, n]."""
        kept = np.where(chosen, phi, 0.0)
        return cls(chosen.sum(axis=0), kept.sum(axis=0), np.square(kept).sum(axis=0))

    def less(self, other: "_Sums") -> "_Sums":
        """Returns the sums without the shadows of `other`."""
        return _Sums(
            self.count - other.count, self.total - other.total, self.squares - other.squares
        )

    def gaussian(self, kind: Variance) -> "_Gaussian":
        """Mean and variance of each row."""
        mean = self.total / np.maximum(self.count, 1)
        if kind == "equal":  # the ranking of the scores does not depend on its value
            return _Gaussian(mean, np.ones(()), self.count)
        squares = np.maximum(self.squares - self.total * mean, 0.0)
        if kind == "pooled":
            free = np.maximum(self.count - 1, 0).sum()
            return _Gaussian(mean, np.maximum(squares.sum() / max(free, 1), TINY), self.count)
        own = squares / np.maximum(self.count - 1, 1)
        count = np.where(self.count > 1, self.count, 0)
        return _Gaussian(mean, np.maximum(own, TINY), count)


@dataclass(frozen=True)
class _Gaussian:
    mean: Array  # [n]; 0 where count is 0
    variance: Array  # [n] or []
    count: Array  # int [n]


@dataclass(frozen=True)
class _Attack:
    """LiRA on all targets; sums over their common shadows are computed once."""

    phi: Array
    member: Array
    inside: _Sums
    outside: _Sums
    variance: Variance
    online: bool
    targets: int

    def scores(self, without: int | None = None) -> Scores:
        """Returns the scores of every target, optionally `without` one of its shadows."""
        shape = self.targets, self.phi.shape[1]
        values, usable = np.zeros(shape), np.zeros(shape, dtype=bool)
        shadows = len(self.phi)
        for r in range(self.targets):
            keep = shadows_of(self.member, r)
            if without is not None:
                keep[without] = False
            shadows = min(shadows, int(keep.sum()))
            values[r], usable[r] = self._target(r, ~keep)
        return Scores(values, usable, shadows, self.variance)

    def _target(self, r: int, left_out: Array) -> tuple[Array, Array]:
        phi, side = self.phi[left_out], self.member[left_out]
        out = self.outside.less(_Sums.over(phi, ~side)).gaussian(self.variance)
        usable = out.count > 0
        if not self.online:
            z = (self.phi[r] - out.mean) / np.sqrt(out.variance)
            return np.where(usable, z, 0.0), usable
        inside = self.inside.less(_Sums.over(phi, side)).gaussian(self.variance)
        usable &= inside.count > 0
        ratio = _log_density(self.phi[r], inside) - _log_density(self.phi[r], out)
        return np.where(usable, ratio, 0.0), usable


def _kind(member: Array, online: bool, targets: int) -> Variance:
    """Chooses one kind of variance for all targets, given the number of shadows of each."""
    kept = [shadows_of(member, r) for r in range(targets)]
    if min(int(k.sum()) for k in kept) >= PER_EXAMPLE_SHADOWS:
        return "per_example"
    sides = (False, True) if online else (False,)
    # A pooled variance needs residuals: a row with two shadows on each side.
    residuals = all(((member[k] == side).sum(0) > 1).any() for k in kept for side in sides)
    return "pooled" if residuals else "equal"


def _log_density(x: Array, g: _Gaussian) -> Array:
    return np.asarray(-0.5 * ((x - g.mean) ** 2 / g.variance + np.log(g.variance)))


# --- several outputs of one row --------------------------------------------------------------

RIDGE = 1e-9  # of the mean variance; keeps redundant outputs invertible


def joint_lira(outputs: Array, member: Array) -> Scores:
    """The online attack on D outputs of each row at once, [R, n, D].

    Each hypothesis is a Gaussian with the row's mean and one covariance for all rows. The attack
    thus weighs the outputs, and their differences, by how they vary together in the shadows. With D
    = 1 it equals `lira(online=True)` with a pooled variance.

    Reference: Carlini et al. 2022, arXiv 2112.03570, section VI (several queries of one row).
    """
    R, n, _ = outputs.shape
    values, usable = np.zeros((R, n)), np.zeros((R, n), dtype=bool)
    shadows, variance = R, _kind(member, online=True, targets=R)
    pooled: Variance = "equal" if variance == "equal" else "pooled"
    for r in range(R):
        keep = shadows_of(member, r)
        shadows = min(shadows, int(keep.sum()))
        usable[r] = member[keep].any(0) & (~member[keep]).any(0)
        for sign, side in ((1, member[keep]), (-1, ~member[keep])):
            mean, covariance = _joint_gaussian(outputs[keep], side, pooled)
            values[r] += sign * _joint_log_density(outputs[r] - mean, covariance)
        values[r] = np.where(usable[r], values[r], 0.0)
    return Scores(values, usable, shadows, pooled, widening=SHARED_PAIRS)


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
