"""Explanations from input gradients, for all replicates and rows at once.

Every function explains the class that a replicate predicts at the clean row, on rows X
[n, *shape] that all replicates share or [R, n, *shape], and returns [R, n, d] in X's precision.
"""

import torch
from torch import Tensor

from trustbench.contracts import Learnt, System
from trustbench.methods.explanations.targets import Target, target_values

# Input floats of one backward pass; activations exceed them by the width of the network.
BUDGET = 2**20


def input_gradients(
    system: System, X: Tensor, target: Target = "probability", classes: Tensor | None = None
) -> Tensor:
    """The gradient of each replicate's own target with respect to its input, [R, n, d].

    Args:
        system: the replicates to query; its forward must be differentiable.
        X: rows [n, *shape] or [R, n, *shape].
        target: the probability, or the logit margin, of the explained class.
        classes: that class, int64 [R, n]; default: the predicted one.
    """
    copies = _copies(system, X)
    rows = max(1, BUDGET // (system.replicates * system.problem.n_features))
    if classes is None:
        classes = system.logits(X).argmax(-1)
    parts = zip(copies.split(rows, dim=1), classes.split(rows, dim=1), strict=True)
    return torch.cat([_gradient(system, x, c, target) for x, c in parts], dim=1)


def saliency(system: System, X: Tensor, target: Target = "probability") -> Tensor:
    """Signed input gradients, [R, n, d].

    Reference: Simonyan et al. 2013, arXiv 1312.6034, section 3, without the absolute value.
    """
    return input_gradients(system, X, target)


def gradient_x_input(system: System, X: Tensor, target: Target = "probability") -> Tensor:
    """Input gradient times (x - the pool's mean): first-order contributions, [R, n, d].

    Reference: Shrikumar et al. 2016, arXiv 1605.01713, section 2, with a declared baseline.
    """
    return input_gradients(system, X, target) * (_copies(system, X).flatten(2) - _mean(system, X))


def integrated_gradients(
    system: System, X: Tensor, target: Target = "probability", steps: int = 32
) -> Tensor:
    """Gradients averaged along the line from the pool's mean to x, times its length, [R, n, d].

    They add up to the target at x minus the target at the mean (completeness), up to the error of
    the midpoint rule, which falls as 1 / steps^2.

    Reference: Sundararajan et al. 2017, arXiv 1703.01365, section 3.
    """
    copies, classes = _copies(system, X), system.logits(X).argmax(-1)
    mean = _mean(system, X).reshape(system.problem.shape)
    total = torch.zeros_like(copies.flatten(2))
    for step in range(steps):
        point = mean + (step + 0.5) / steps * (copies - mean)
        total = total + input_gradients(system, point, target, classes)
    return total / steps * (copies - mean).flatten(2)


def smoothgrad(
    system: System,
    X: Tensor,
    target: Target = "probability",
    samples: int = 25,
    sigma: float = 0.15,
    repeat: int = 0,
) -> Tensor:
    """The mean gradient over noisy copies of each row, [R, n, d].

    Numeric columns, which are standardised, move by sigma N(0, 1), pixels by that share of their
    value range, and categories not at all. All rows and replicates share the noise; `repeat` k > 0
    is the k-th redraw.

    Reference: Smilkov et al. 2017, arXiv 1706.03825, section 3.
    """
    rng = system.streams.numpy("explanations", "smoothgrad", repeat)
    noise = rng.standard_normal((samples, system.problem.n_features)) * _spread(system, sigma)
    shift = system.tensor(noise).to(X.dtype).reshape(samples, *system.problem.shape)
    copies, classes = _copies(system, X), system.logits(X).argmax(-1)
    total = torch.zeros_like(copies.flatten(2))
    for moved in shift:
        total = total + input_gradients(system, copies + moved, target, classes)
    return total / samples


def _gradient(system: System, X: Tensor, classes: Tensor, target: Target) -> Tensor:
    """Gradients [R, m, d] at X [R, m, *shape]; no replicate reads the rows of another."""
    with torch.enable_grad():
        X = X.detach().requires_grad_()
        values = target_values(system.forward(X)[:, :, None], classes, target)
        (gradient,) = torch.autograd.grad(values.sum(), X)
    return gradient.flatten(2)


def _copies(system: System, X: Tensor) -> Tensor:
    """X expanded to [R, n, *shape]."""
    own = X.ndim > len(system.problem.shape) + 1
    return X if own else X.expand(system.replicates, *X.shape)


def _mean(system: System, X: Tensor) -> Tensor:
    def learn() -> Learnt:
        pool = system.problem.rows("train")[0].reshape(-1, system.problem.n_features)
        return Learnt({"mean": system.tensor(pool.mean(axis=0))})

    return system.learn("pool mean", learn).tensors["mean"].to(X.dtype)


def _spread(system: System, sigma: float) -> "list[float]":
    """The standard deviation of the noise in each column."""
    scale = [0.0] * system.problem.n_features
    for feature in system.problem.features:
        if not feature.whole:
            width = feature.upper - feature.lower if feature.kind == "pixel" else 1.0
            for column in feature.columns:
                scale[column] = sigma * width
    return scale
