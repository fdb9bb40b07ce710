"""Checks a problem before training; each fault is one sentence."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trustbench.contracts.shortening import listed
from trustbench.errors import DataError

if TYPE_CHECKING:
    from trustbench.contracts.problem import Array, Problem, SplitName

SPLITS: tuple["SplitName", ...] = ("train", "validation", "calibration", "test")


def refuse_faults(problem: "Problem") -> None:
    """Raises DataError with the first fault of a problem; later checks rely on earlier ones."""
    checks = (_names, _arrays, _values, _splits, _codes, _classes, _groups, _features, _bounds)
    for check in checks:
        for fault in check(problem):
            raise DataError(f"dataset {problem.name}: {fault}.")


def _names(problem: "Problem") -> Iterator[str]:
    for what, names in (("classes", problem.classes), ("groups", problem.groups)):
        if not all(str(n).strip() for n in names):
            yield f"{what} are {tuple(names)!r}; give each a non-empty name"
        if twice := _repeated(names):
            yield f"{what} name {twice} twice; give each its own name"
    if len(problem.classes) < 2:
        yield f"classes are {tuple(problem.classes)!r}; classification needs at least 2"
    if not problem.groups:
        yield "there are no groups; name one for all rows, such as ('all',)"


def _arrays(problem: "Problem") -> Iterator[str]:
    X = problem.X
    if np.ndim(X) < 2:
        yield f"X has shape {np.shape(X)}; give an array [rows, features] or [rows, ...]"
        return
    if X.dtype != np.float32:
        yield f"X is {X.dtype}; give float32, as X.astype('float32') does"
    for name, values in (("y", problem.y), ("group", problem.group)):
        if np.shape(values) != (len(X),):
            yield f"{name} has shape {np.shape(values)}, but X has {len(X)} rows; give one per row"
        elif values.dtype != np.int64:
            yield f"{name} is {values.dtype}; give int64 positions, as {name}.astype('int64') does"


def _values(problem: "Problem") -> Iterator[str]:
    finite = np.isfinite(problem.X).reshape(len(problem.X), -1)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        yield (
            f"X holds NaN or infinite values in {int((~finite).any(1).sum())} rows (the first: row "
            f"{row}, column {column}); clean them"
        )


def _splits(problem: "Problem") -> Iterator[str]:
    if set(problem.splits) != set(SPLITS):
        named = ", ".join(map(str, problem.splits)) or "none"
        yield f"splits are {named}; give {', '.join(SPLITS)}"
        return
    n = len(problem.X)
    for split in SPLITS:
        rows = np.asarray(problem.splits[split])
        if rows.ndim != 1 or (len(rows) and not np.issubdtype(rows.dtype, np.integer)):
            yield f"split {split} is {rows.dtype} of shape {rows.shape}; give row numbers [m]"
            return
        if not len(rows):
            if not problem.partial:
                yield f"the {split} split is empty; ask for more rows"
        elif rows.min() < 0 or rows.max() >= n:
            outside = int(rows.min() if rows.min() < 0 else rows.max())
            yield f"split {split} names row {outside}, but rows are 0 to {n - 1}"
    rows = np.concatenate([problem.splits[s] for s in SPLITS])
    again = len(rows) - len(np.unique(rows))
    if again:
        yield f"some rows are in two splits, or twice in one ({again} in all); fix the loader"


def _codes(problem: "Problem") -> Iterator[str]:
    for name, codes, names in (
        ("y", problem.y, problem.classes),
        ("group", problem.group, problem.groups),
    ):
        outside = (codes < 0) | (codes >= len(names))
        if outside.any():
            yield (
                f"{name} is {int(codes[outside.argmax()])} in {int(outside.sum())} rows, but the "
                f"{len(names)} names stand for 0 to {len(names) - 1}"
            )


def _classes(problem: "Problem") -> Iterator[str]:
    if problem.partial:
        return
    absent = _empty(problem.y[problem.splits["train"]], problem.classes)
    if absent and len(absent) < len(problem.classes) - 1:
        yield (
            f"class {listed(absent)} has no row in the train split, so no model can learn it; "
            "take it out of the classes, or give it rows"
        )
    for split in SPLITS:
        y = problem.y[problem.splits[split]]
        found = np.unique(y)
        if len(found) < 2:
            yield (
                f"every row of the {split} split is of class {problem.classes[found[0]]}, so a "
                f"constant answer is always right there; give rows of at least 2 classes"
            )


def _groups(problem: "Problem") -> Iterator[str]:
    for split in () if problem.partial else ("train", "test"):
        absent = _empty(problem.group[problem.splits[split]], problem.groups)
        if absent:
            yield (
                f"group {listed(absent)} ({problem.group_name}) has no row in the {split} split; "
                "take a larger subsample or another group attribute"
            )


def _features(problem: "Problem") -> Iterator[str]:
    features, d = problem.features, problem.n_features
    twice = _repeated(f.name for f in features)
    if twice:
        yield f"two features are called {twice}; give each a unique name"
    columns = Counter(c for f in features for c in f.columns)
    shared = sorted(c for c, k in columns.items() if k > 1)
    if shared:
        owners = [f.name for f in features if shared[0] in f.columns]
        yield f"column {shared[0]} is in features {' and '.join(owners)}; give it to one"
    outside = sorted(c for c in columns if not 0 <= c < d)
    if outside:
        yield f"a feature has column {outside[0]}, but X has {d} columns, 0 to {d - 1}"
    if problem.encoder is not None and problem.encoder.width != d:
        yield f"the encoder makes {problem.encoder.width} columns, but X has {d}; make them agree"
    unnamed = sorted(set(range(d)) - set(columns))
    if unnamed:
        yield f"no feature has column {listed(unnamed)} of X; describe all {d}"


def _bounds(problem: "Problem") -> Iterator[str]:
    for f in problem.features:
        if not np.isfinite([f.lower, f.upper, f.scale]).all() or f.scale < 0:
            yield (
                f"feature {f.name} has lower={f.lower:g}, upper={f.upper:g}, scale={f.scale:g}; "
                "give finite numbers, and a scale of at least 0"
            )
        elif f.lower > f.upper:
            yield f"feature {f.name} has lower={f.lower:g} above upper={f.upper:g}; swap them"
        flag = len(f.columns) == 1 and len(f.levels) == 2  # one column of 0 and 1
        if f.levels and len(f.levels) != len(f.columns) and not flag:
            yield (
                f"feature {f.name} has {len(f.levels)} levels for {len(f.columns)} columns; give "
                "one level per column"
            )


def _empty(codes: "Array", names: Sequence[str]) -> list[str]:
    """The names whose codes do not occur."""
    present = set(np.unique(codes).tolist())
    return [name for k, name in enumerate(names) if k not in present]


def _repeated(names: Iterable[str]) -> str | None:
    """The first name that occurs twice, or None."""
    return next((n for n, k in Counter(names).items() if k > 1), None)
