"""A trigger: values that are legal for the data, and rare in it."""

from dataclasses import dataclass

import numpy as np

from trustbench.contracts import Array, Feature, Problem


@dataclass(frozen=True)
class Trigger:
    """Sets columns of a flattened input to given values."""

    columns: Array  # int64 [k]
    values: Array  # float32 [k]

    def on(self, X: Array) -> Array:
        """A copy of inputs [n, *shape] that carry the trigger."""
        flat = X.reshape(len(X), -1).copy()
        flat[:, self.columns] = self.values
        return flat.reshape(X.shape)

    def shown(self, X: Array) -> Array:
        """Which inputs [n, *shape] carry it already: bool [n]."""
        flat = X.reshape(len(X), -1)
        return np.asarray(np.isclose(flat[:, self.columns], self.values).all(axis=1))


def trigger(problem: Problem, size: int) -> Trigger | None:
    """The trigger of `size` inputs that is rarest in the training pool; None if there is none.

    Images: the pixels that are bright in the fewest rows are made bright (a dark pixel on a dark
    ground would be no trigger). Tables: the features that one can change and whose rarest level is
    the rarest take that level; after the categories come numbers, at their largest value. So every
    value occurs in the data, and no block of a category is left without its level.
    """
    X = problem.rows("train")[0].reshape(len(problem.splits["train"]), -1)
    features = [f for f in problem.features if f.mutable and f.upper > f.lower]
    ranked = sorted(filter(None, (_rarest(f, X) for f in features)), key=lambda each: each[0])
    if len(ranked) < size:
        return None
    columns = [c for _, found, _ in ranked[:size] for c in found]
    values = [v for _, _, found in ranked[:size] for v in found]
    return Trigger(np.array(columns), np.array(values, dtype=np.float32))


def _rarest(feature: Feature, X: Array) -> tuple[tuple[int, float], list[int], list[float]] | None:
    """(rank, columns, values) of a feature's rarest legal value; None where it has no such value.

    Lower ranks are rarer; numbers come after categories and pixels.
    """
    columns = list(feature.columns)
    if feature.kind == "categorical":
        share = (X[:, columns] > 0).mean(0)
        if (share > 0).sum() < 2:
            return None
        level = int(np.where(share > 0, share, np.inf).argmin())
        values = [float(k == level) for k in range(len(columns))]
        return (0, float(share[level])), columns, values
    if feature.kind == "embedding":
        return None
    top = feature.upper if feature.kind == "pixel" else float(X[:, columns].max())
    middle = (feature.lower + top) / 2
    share = float((X[:, columns] > middle).mean())
    return (int(feature.kind == "numeric"), share), columns, [top]


def wanted(problem: Problem, target: str | None) -> int:
    """The class that an attacker wants: the one named, else class 1 of two, else the first."""
    return problem.classes.index(target) if target is not None else int(problem.binary)
