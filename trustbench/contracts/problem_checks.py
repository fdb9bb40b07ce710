"""The faults of a problem's parts, each one sentence; a later check relies on the earlier ones."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from trustbench.contracts.arrays import SPLITS, Array, SplitName
from trustbench.contracts.features import Feature
from trustbench.contracts.shortening import listed

Splits = Mapping[SplitName, Array]


def names(classes: Sequence[str], groups: Sequence[str]) -> Iterator[str]:
    """Classes and groups without a name, or with the same one."""
    for what, given in (("classes", classes), ("groups", groups)):
        if not all(str(n).strip() for n in given):
            yield f"{what} are {tuple(given)!r}; give each a non-empty name"
        if twice := _repeated(given):
            yield f"{what} name {twice} twice; give each its own name"
    if len(classes) < 2:
        yield f"classes are {tuple(classes)!r}; classification needs at least 2"
    if not groups:
        yield "there are no groups; name one for all rows, such as ('all',)"


def favoured(given: Sequence[int], classes: Sequence[str]) -> Iterator[str]:
    """Favourable classes that do not exist, repeat, are all, or are named of two."""
    if given and len(classes) == 2:
        yield f"favoured is {tuple(given)}, but of two classes it is the second; leave it out"
    elif not set(given) < set(range(len(classes))) or len(set(given)) < len(given):
        yield (
            f"favoured is {tuple(given)}; give some of the positions 0 to {len(classes) - 1} of "
            "the classes, each once and not all"
        )


def arrays(X: Array, codes: Mapping[str, Array]) -> Iterator[str]:
    """Wrong types, and codes that are not one for each row of X."""
    if np.ndim(X) < 2:
        yield f"X has shape {np.shape(X)}; give an array [rows, features] or [rows, ...]"
        return
    if X.dtype != np.float32:
        yield f"X is {X.dtype}; give float32, as X.astype('float32') does"
    for name, values in codes.items():
        if np.shape(values) != (len(X),):
            yield f"{name} has shape {np.shape(values)}, but X has {len(X)} rows; give one per row"
        elif values.dtype != np.int64:
            yield f"{name} is {values.dtype}; give int64 positions, as {name}.astype('int64') does"


def values(X: Array) -> Iterator[str]:
    """Values that are not finite."""
    finite = np.isfinite(X).reshape(len(X), -1)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        yield (
            f"X holds NaN or infinite values in {int((~finite).any(1).sum())} rows (the first: row "
            f"{row}, column {column}); clean them"
        )


def splits(given: Splits, n: int, partial: bool) -> Iterator[str]:
    """Splits of n rows that are missing, empty, outside or overlapping."""
    if set(given) != set(SPLITS):
        named = ", ".join(map(str, given)) or "none"
        yield f"splits are {named}; give {', '.join(SPLITS)}"
        return
    for split in SPLITS:
        rows = np.asarray(given[split])
        if rows.ndim != 1 or (len(rows) and not np.issubdtype(rows.dtype, np.integer)):
            yield f"split {split} is {rows.dtype} of shape {rows.shape}; give row numbers [m]"
            return
        if not len(rows):
            if not partial:
                yield f"the {split} split is empty; ask for more rows"
        elif rows.min() < 0 or rows.max() >= n:
            outside = int(rows.min() if rows.min() < 0 else rows.max())
            yield f"split {split} names row {outside}, but rows are 0 to {n - 1}"
    rows = np.concatenate([given[s] for s in SPLITS])
    again = len(rows) - len(np.unique(rows))
    if again:
        yield f"some rows are in two splits, or twice in one ({again} in all); fix the loader"


def codes(name: str, given: Array, names: Sequence[str]) -> Iterator[str]:
    """Codes that stand for none of the names."""
    outside = (given < 0) | (given >= len(names))
    if outside.any():
        yield (
            f"{name} is {int(given[outside.argmax()])} in {int(outside.sum())} rows, but the "
            f"{len(names)} names stand for 0 to {len(names) - 1}"
        )


def classes(y: Array, names: Sequence[str], rows: Splits) -> Iterator[str]:
    """Classes that no model can learn, and splits on which a constant answer is right."""
    absent = _empty(y[rows["train"]], names)
    if absent and len(absent) < len(names) - 1:
        yield (
            f"class {listed(absent)} has no row in the train split, so no model can learn it; "
            "take it out of the classes, or give it rows"
        )
    for split in SPLITS:
        found = np.unique(y[rows[split]])
        if len(found) < 2:
            yield (
                f"every row of the {split} split is of class {names[found[0]]}, so a "
                f"constant answer is always right there; give rows of at least 2 classes"
            )


def groups(group: Array, names: Sequence[str], group_name: str, rows: Splits) -> Iterator[str]:
    """Groups without rows to learn from or to measure on."""
    measured: tuple[SplitName, ...] = ("train", "test")
    for split in measured:
        absent = _empty(group[rows[split]], names)
        if absent:
            yield (
                f"group {listed(absent)} ({group_name}) has no row in the {split} split; "
                "take a larger subsample or another group attribute"
            )


def features(given: Sequence[Feature], d: int, width: int | None) -> Iterator[str]:
    """Columns 0 to d - 1 that belong to no feature or to two; `width` is that of the encoder."""
    twice = _repeated(f.name for f in given)
    if twice:
        yield f"two features are called {twice}; give each a unique name"
    columns = Counter(c for f in given for c in f.columns)
    shared = sorted(c for c, k in columns.items() if k > 1)
    if shared:
        owners = [f.name for f in given if shared[0] in f.columns]
        yield f"column {shared[0]} is in features {' and '.join(owners)}; give it to one"
    outside = sorted(c for c in columns if not 0 <= c < d)
    if outside:
        yield f"a feature has column {outside[0]}, but X has {d} columns, 0 to {d - 1}"
    if width not in (None, d):
        yield f"the encoder makes {width} columns, but X has {d}; make them agree"
    unnamed = sorted(set(range(d)) - set(columns))
    if unnamed:
        yield f"no feature has column {listed(unnamed)} of X; describe all {d}"


def bounds(given: Sequence[Feature]) -> Iterator[str]:
    """Bounds, scales and levels that contradict each other."""
    for f in given:
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


def _empty(found: Array, names: Sequence[str]) -> list[str]:
    """The names whose codes do not occur."""
    present = set(np.unique(found).tolist())
    return [name for k, name in enumerate(names) if k not in present]


def _repeated(names: Iterable[str]) -> str | None:
    """The first name that occurs twice, or None."""
    return next((n for n, k in Counter(names).items() if k > 1), None)
