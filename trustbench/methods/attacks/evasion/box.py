"""The threat model: which inputs an attacker may substitute for a clean one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, Feature, Problem
from trustbench.methods.random_numbers import draw

Norm = Literal["linf", "l2"]


@lru_cache(maxsize=8)
def _columns(features: tuple[Feature, ...], d: int) -> tuple[Array, ...]:
    """(weight, lower, upper, fall, rise), each [d].

    Cached because a training loop uses them at every step.
    """
    weight, lower, upper, fall, rise = (np.zeros(d, dtype=np.float32) for _ in range(5))
    for feature in features:
        columns = list(feature.columns)
        weight[columns] = feature.scale * feature.mutable
        lower[columns] = feature.lower
        upper[columns] = feature.upper
        fall[columns] = feature.change != "up"
        rise[columns] = feature.change != "down"
    return weight, lower, upper, fall, rise


@lru_cache(maxsize=8)
def _tensors(
    features: tuple[Feature, ...], shape: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """The columns as tensors [*shape]; nothing writes to them."""
    columns = _columns(features, math.prod(shape))
    return tuple(torch.as_tensor(c, dtype=dtype, device=device).view(shape) for c in columns)


def unattackable(problem: Problem) -> str | None:
    """Returns why no input of a problem can be perturbed, or None if some column can be."""
    if _columns(problem.features, problem.n_features)[0].any():
        return None
    return f"no column of {problem.name} may be perturbed (all immutable or of scale 0)"


@dataclass(frozen=True)
class ThreatModel:
    """A ball of radius `epsilon` around each clean input, within the box of allowed values.

    A perturbation delta is measured per column in units of `weight` (scale x mutable): `linf`
    bounds max |delta_j / weight_j| and `l2` bounds the Euclidean norm of delta / weight. Columns of
    weight 0 never change. Clipping does not move a clean value that already lies outside the box,
    but keeps it from moving further out. `epsilon` may be a radius per point, [R, n]. `fall` and
    `rise` are 0 in columns whose value cannot shrink or grow.

    Reference: Croce et al. 2021, arXiv 2010.09670, section 2; Simonetto et al. 2024, arXiv
    2408.07579, section 2 (boxes and immutable columns of tabular data).
    """

    norm: Norm
    epsilon: float | Tensor
    weight: Tensor  # [*shape], >= 0
    lower: Tensor  # [*shape]
    upper: Tensor  # [*shape]
    fall: Tensor | float = 1.0  # [*shape], 0 or 1
    rise: Tensor | float = 1.0  # [*shape], 0 or 1
    free: int | None = None  # how many columns may change, if it is known on the host

    @classmethod
    def of(cls, problem: Problem, norm: Norm, epsilon: float | Tensor, like: Tensor) -> Self:
        """The threat model of a problem's features, on the device and with the type of `like`."""
        columns = _tensors(problem.features, problem.shape, like.dtype, like.device)
        weight, lower, upper, fall, rise = columns
        free = int((_columns(problem.features, problem.n_features)[0] > 0).sum())
        return cls(norm, epsilon, weight, lower, upper, fall, rise, free)

    def scaled(self, factor: float) -> Self:
        """Returns the same threat at `factor` times the radius."""
        return replace(self, epsilon=factor * self.epsilon)

    def whole_box(self) -> Self:
        """Every column varies freely within its bounds: only a constant model can resist."""
        width = (self.upper - self.lower).clamp(min=0.0)
        radius = 1.0 if self.norm == "linf" else float(width.numel()) ** 0.5
        return replace(self, weight=width, epsilon=radius, free=None)

    def bounds(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """The lowest and highest allowed value of each column, given clean X [..., *shape]."""
        reach = _wide(self.epsilon, self.weight.ndim) * self.weight
        low = torch.maximum(X - reach * self.fall, torch.minimum(self.lower, X))
        high = torch.minimum(X + reach * self.rise, torch.maximum(self.upper, X))
        return low, high

    def project(
        self, candidate: Tensor, X: Tensor, bounds: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Returns the allowed input [..., *shape] closest to `candidate`, given clean X.

        For `l2` the perturbation is first shrunk to the ball and then clipped to the box. The box
        contains X, so clipping only shortens the perturbation. `bounds` are those of X, if
        available.
        """
        if self.norm == "l2":
            delta = candidate - X
            size = self.size(delta)
            shrink = torch.where(size > self.epsilon, self.epsilon / size, 1.0)
            candidate = X + delta * _last(shrink, self.weight.ndim)
        low, high = self.bounds(X) if bounds is None else bounds
        return torch.maximum(torch.minimum(candidate, high), low)

    def size(self, delta: Tensor) -> Tensor:
        """The norm [...] of perturbations [..., *shape] in units of `weight`."""
        free = self.weight > 0
        units = torch.where(free, delta / torch.where(free, self.weight, 1.0), 0.0)
        units = units.flatten(-self.weight.ndim)
        order = float("inf") if self.norm == "linf" else 2
        size: Tensor = torch.linalg.vector_norm(units, ord=order, dim=-1)
        return size

    def steepest(self, gradient: Tensor) -> Tensor:
        """The perturbation [..., *shape] of size 1 that increases a linear function fastest."""
        if self.norm == "linf":
            return self.weight * gradient.sign()
        return self.weight * _unit(self.weight * gradient, self.weight.ndim)

    def step(self, gradient: Tensor, fraction: float | Tensor) -> Tensor:
        """The move [R, n, *shape] by `fraction` (scalar or [R, n]) radii along a gradient."""
        return _wide(fraction * self.epsilon, self.weight.ndim) * self.steepest(gradient)

    def random_point(
        self, X: Tensor, generators: Sequence[torch.Generator], real: Tensor | None = None
    ) -> Tensor:
        """Draws a start uniformly from the ball around X [R, n, *shape] and clips it to the box.

        One generator per replicate: replicate r's draw does not depend on the number of replicates.
        Only the rows in `real` are drawn, as in `draw`.
        """
        if self.norm == "linf":
            noise = 2 * draw(torch.rand, X, generators, real) - 1
            reach = _wide(self.epsilon, self.weight.ndim) * self.weight
            return self.project(X + reach * noise, X)
        normal = draw(torch.randn, X, generators, real)
        direction = _unit(normal * (self.weight > 0), self.weight.ndim)
        radius = draw(torch.rand, X.flatten(2)[:, :, 0], generators, real)
        free = int((self.weight > 0).sum()) if self.free is None else self.free
        radius = self.epsilon * radius ** (1 / max(1, free))
        return self.project(X + self.weight * direction * _last(radius, self.weight.ndim), X)

    def random_direction(
        self, X: Tensor, size: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Moves X [R, n, *shape] by `size` [R, n] in a random direction (random signs or sphere).

        This is the control of a directed attack: a perturbation of equal norm, clipped by the same
        box.
        """
        if self.norm == "linf":
            direction = self.weight * (2.0 * (draw(torch.rand, X, generators) < 0.5) - 1.0)
        else:
            noise = draw(torch.randn, X, generators) * (self.weight > 0)
            direction = self.weight * _unit(noise, self.weight.ndim)
        return self.project(X + direction * _last(size, self.weight.ndim), X)


def choose(where: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """`new` [R, n, ...] for the points where `where` [R, n] is true, `old` for the others."""
    return torch.where(_last(where, new.ndim - where.ndim), new, old)


def _unit(vector: Tensor, dims: int) -> Tensor:
    """Scales each vector (the last `dims` axes) to Euclidean length 1; zero stays zero.

    Dividing by the largest entry first prevents the squares of tiny gradients from underflowing.
    """
    flat = vector.flatten(-dims)
    tiny = torch.finfo(vector.dtype).tiny
    flat = flat / flat.abs().amax(-1, keepdim=True).clamp(min=tiny)
    length: Tensor = torch.linalg.vector_norm(flat, dim=-1, keepdim=True)
    return (flat / length.clamp(min=tiny)).view_as(vector)


def _wide(values: float | Tensor, dims: int) -> float | Tensor:
    """Returns a number unchanged, and numbers per point with `dims` axes appended."""
    return _last(values, dims) if isinstance(values, Tensor) else values


def _last(values: Tensor, dims: int) -> Tensor:
    """`values` with `dims` axes of length 1 appended."""
    return values.reshape(*values.shape, *[1] * dims)
