"""The columns that a person can act on, by the names of features."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trustbench.contracts import Problem
from trustbench.errors import did_you_mean


def unknown_feature(problem: Problem, names: Sequence[str]) -> str | None:
    """Returns which name is not an input of the problem, or None if all are."""
    known = [f.name for f in problem.features]
    for name in names:
        if name not in known:
            return f"{problem.name} has no input {name!r}; {did_you_mean(name, known)}"
    return None


def actionable_mask(problem: Problem, names: Sequence[str], like: Tensor) -> Tensor:
    """1 in the columns [d] of the named features, 0 elsewhere; no names: the mutable features."""
    chosen = [f for f in problem.features if (f.name in names if names else f.mutable)]
    mask = torch.zeros(problem.n_features, dtype=like.dtype, device=like.device)
    mask[[c for f in chosen for c in f.columns]] = 1.0
    return mask
