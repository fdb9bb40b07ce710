"""Causal perturbations: the twins of a person and everybody close to one of them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, Problem, StructuralCausalModel

ROWS = 2**17  # people of a causal model in one forward pass
WIDE = 3.0  # later draws are assumed to move a margin by less than this many times the first tenth


def without_model(problem: Problem) -> str | None:
    """Returns why twins of this problem's rows are not known, or None if they are."""
    if problem.scm is not None:
        return None
    return (
        f"{problem.name} has no causal model; take silobank, dataset.causal=true of adult or "
        "compas, or dataset.graph of a table"
    )


def free_columns(scm: StructuralCausalModel, d: int, *, among_twins: bool) -> list[int]:
    """The columns of Q that a perturbation moves: all but the sensitive ones around twins."""
    return [c for c in range(d) if not (among_twins and c in scm.sensitive)]


def in_unit_ball(normal: Array, uniform: Array) -> Array:
    """Points [..., k] uniform in the unit ball: normal [..., k] and uniform numbers [...].

    >>> in_unit_ball(np.array([3.0, 4.0]), np.array(0.25)).round(4).tolist()  # radius .25^(1/2)
    [0.3, 0.4]
    """
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.asarray(normal / length * uniform[..., None] ** (1 / normal.shape[-1]))


def around_twins(scm: StructuralCausalModel, X: Array, offsets: Array) -> Array:
    """The people [L, n, S, d] at `offsets` [n, S, k] from the L twins of people X [n, d].

    Offsets are in the semi-latent space, in which the sensitive columns stay.

    Reference: Ehyaei et al. 2023, the causal adversarial perturbation and the authors' code.
    """
    d = X.shape[1]
    Q, free = scm.latent(X), free_columns(scm, d, among_twins=True)
    moved = np.repeat(Q[:, None], offsets.shape[1], axis=1)
    moved[..., free] += offsets
    found = []
    for level in scm.levels():
        moved[..., list(scm.sensitive)] = level
        found.append(scm.from_latent(moved.reshape(-1, d)).reshape(moved.shape))
    return np.stack(found)


def around_themselves(scm: StructuralCausalModel, X: Array, offsets: Array) -> Array:
    """The people [1, n, S, d] at `offsets` [n, S, d] from X [n, d]; all columns of Q move."""
    moved = scm.latent(X)[:, None] + offsets
    return scm.from_latent(moved.reshape(-1, X.shape[1])).reshape(1, *offsets.shape)


class Extremes(NamedTuple):
    """The smallest and the largest margin among the perturbations of each person, [R, n]."""

    low: Tensor
    high: Tensor

    def changed(self, own: Tensor, threshold: Tensor | float = 0.0) -> Tensor:
        """Whose decision (margin above `threshold`) differs somewhere, bool [R, n].

        >>> found = Extremes(torch.tensor([[-1.0, 0.1]]), torch.tensor([[0.5, 0.9]]))
        >>> found.changed(torch.tensor([[0.2, 0.2]])).tolist()
        [[True, False]]
        """
        return torch.where(own > threshold, self.low <= threshold, self.high > threshold)

    def within(self, other: "Extremes") -> "Extremes":
        """The extremes of both together."""
        return Extremes(torch.minimum(self.low, other.low), torch.maximum(self.high, other.high))


Margins = Callable[[Array], Tensor]
"""People [m, d] -> margins [R, m]."""


def extremes(margins: Margins, people: Array) -> Extremes:
    """The extreme margins [R, n] of people [L, n, S, d]."""
    L, n, S, d = people.shape
    flat = people.reshape(-1, d)
    parts = [margins(flat[i : i + ROWS]) for i in range(0, len(flat), ROWS)]
    found = torch.cat(parts, dim=1).view(-1, L, n, S)
    return Extremes(found.amin((1, 3)), found.amax((1, 3)))


def search(
    margins: Margins,
    scm: StructuralCausalModel,
    X: Array,
    radius: float,
    draws: int,
    rng: np.random.Generator,
    thresholds: Tensor,
    *,
    among_twins: bool = True,
) -> Extremes:
    """The extreme margins among `draws` perturbations of each person and twin.

    A tenth of the draws is made first. The others are made for people whose decision at one of the
    `thresholds` [T, R] still stands, and whose margin in some replicate is within WIDE times what
    the first ones moved it. Draws find lower bounds of what changes. At radius 0 nothing is drawn.
    """
    place = around_twins if among_twins else around_themselves
    k = len(free_columns(scm, X.shape[1], among_twins=among_twins))
    centre = extremes(margins, place(scm, X, np.zeros((len(X), 1, k))))
    if radius == 0:
        return centre
    first = max(1, draws // 10)
    found = centre.within(_drawn(margins, scm, X, radius, first, rng, among_twins, k))
    reach = WIDE * torch.maximum(centre.low - found.low, found.high - centre.high)
    own, t = margins(X), thresholds[..., None]
    stands = ~torch.stack([found.changed(own, each) for each in t])
    near = (found.low - reach <= t) & (found.high + reach > t)
    rows = (stands & near).any(0).any(0).cpu().numpy().nonzero()[0]
    if draws == first or not len(rows):
        return found
    at = torch.as_tensor(rows, device=found.low.device)
    more = _drawn(margins, scm, X[rows], radius, draws - first, rng, among_twins, k)
    both = Extremes(found.low[:, at], found.high[:, at]).within(more)
    return Extremes(found.low.index_copy(1, at, both.low), found.high.index_copy(1, at, both.high))


def _drawn(
    margins: Margins,
    scm: StructuralCausalModel,
    X: Array,
    radius: float,
    draws: int,
    rng: np.random.Generator,
    among_twins: bool,
    k: int,
) -> Extremes:
    """The extremes of `draws` points for each person, some people at a time."""
    place = around_twins if among_twins else around_themselves
    parts = []
    for x in np.array_split(X, max(1, len(X) * draws // ROWS)):
        ball = in_unit_ball(rng.standard_normal((len(x), draws, k)), rng.random((len(x), draws)))
        parts.append(extremes(margins, place(scm, x, radius * ball)))
    return Extremes(*(torch.cat(each, dim=1) for each in zip(*parts, strict=True)))
