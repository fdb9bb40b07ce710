"""Rows and attributions for human eyes: pictures, named values, one number per feature."""

import math

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, Feature, Problem, System
from trustbench.methods.explanations.gradients import gradient_x_input
from trustbench.methods.explanations.lime_surrogate import flatten
from trustbench.methods.explanations.neighbourhoods import neighbourhood
from trustbench.methods.explanations.released import FACT, lime_meaning

Grid = tuple[int, int, int]
"""Channels, height and width."""


def grid(problem: Problem) -> Grid | None:
    """The shape of a row as a picture: its own, or a square of flat pixels; None for a table.

    Pixels that do not form a square are shown as a table.
    """
    if len(problem.shape) == 3:
        channels, height, width = problem.shape
        return channels, height, width
    side = math.isqrt(problem.n_features)
    pixels = all(f.kind == "pixel" for f in problem.features)
    return (1, side, side) if pixels and side**2 == problem.n_features else None


def pictures(problem: Problem, X: Array, shape: Grid) -> Array:
    """Rows X [n, *shape] as levels of grey or colour, uint8 [n, h, w, c]; 0 is the least value."""
    low, high = problem.per_column("lower"), problem.per_column("upper")
    share = (X.reshape(len(X), -1) - low) / np.where(high > low, high - low, 1)
    levels = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return np.asarray(levels.reshape(len(X), *shape).transpose(0, 2, 3, 1))


def named_values(problem: Problem, X: Array) -> list[list[str]]:
    """Each row's value of each feature: a category's name, or a number as the model sees it."""
    flat = X.reshape(len(X), -1)
    return [[_value(f, row[list(f.columns)]) for f in problem.features] for row in flat]


def _value(feature: Feature, values: Array) -> str:
    if feature.kind == "embedding":
        return f"{len(values)} numbers"
    if feature.kind != "categorical":
        return f"{float(values[0]):+z.2f}"
    if len(values) == 1 and len(feature.levels) == 2:
        return feature.levels[int(values[0] > 0)]
    if not (values > 0).any():
        return "no level"
    level = int(np.argmax(values))
    return feature.levels[level] if feature.levels else f"level {level}"


def by_gradient(system: System, X: Tensor) -> Tensor:
    """First-order contribution of each column to the predicted class's logit margin, [R, n, d].

    The gradient times (x - the pool's mean): an explanation available for any model.
    """
    return gradient_x_input(system, X, "margin")


def released(system: System, X: Tensor) -> Tensor:
    """What each column adds according to the released explanation, [R, n, d].

    A slope adds slope (x - the pool's mean). A system that does not state the meaning of its
    attributions released LIME's.
    """
    attributions = system.explain(X)
    area = neighbourhood(system.problem, device=system.device)
    if system.facts.get(FACT, lime_meaning(area)) != "slopes":
        return attributions
    return attributions * (flatten(system, X) - area.baseline.to(X.dtype))


def per_place(problem: Problem, columns: Array) -> Array:
    """Sums the effects of columns [n, d] by pixel [n, h w], over colours, or by feature [n, f].

    The columns of a one-hot feature are one effect: that of the row's category.
    """
    shape = grid(problem)
    if shape is not None:
        return np.asarray(columns.reshape(len(columns), shape[0], -1).sum(axis=1))
    return np.stack([columns[:, list(f.columns)].sum(axis=1) for f in problem.features], axis=1)


def predictions(system: System, X: Tensor, replicate: int) -> tuple[Array, Array]:
    """(class int64 [n], its probability [n]) that one replicate predicts."""
    with torch.no_grad():
        chosen = system.logits(X)[replicate].double().softmax(-1).max(-1)
    return chosen.indices.cpu().numpy(), chosen.values.cpu().numpy()
