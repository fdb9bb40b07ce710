"""Stratified splits, subsamples and the rare class; every draw is nested in the larger one."""

from collections.abc import Mapping

import numpy as np

from trustbench.contracts import SPLITS, Array, SplitName
from trustbench.errors import DataError

Splits = Mapping[SplitName, Array]
SMALLEST = 20
"""Minimum number of rows of a split: fewer cannot support a rate, a threshold or a half."""


def strata_of(*labels: Array) -> Array:
    """The stratum of each row, int64 [n]: one for each combination of the labels [n].

    >>> strata_of(np.array([0, 0, 1]), np.array([1, 1, 1])).tolist()
    [0, 0, 1]
    """
    combined = np.unique(np.stack(labels), axis=1, return_inverse=True)[1]
    return np.asarray(combined, dtype=np.int64).ravel()


def stratified_order(strata: Array, rng: np.random.Generator) -> Array:
    """A random order [n] in which every run of rows has almost the proportions of the strata.

    The rows of a stratum are spaced evenly, from a random start: systematic sampling. The first k
    rows are therefore a stratified sample of size k, and contain that of any smaller size.

    >>> order = stratified_order(np.repeat([0, 1], [8, 4]), np.random.default_rng(0))
    >>> [int((order[i : i + 3] >= 8).sum()) for i in (0, 3, 6, 9)]
    [1, 1, 1, 1]
    """
    position = np.empty(len(strata))
    for stratum in np.unique(strata):
        rows = rng.permutation(np.flatnonzero(strata == stratum))
        position[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
    return np.argsort(position, kind="stable")


def draw(
    name: str, strata: Array, sizes: Mapping[SplitName, int], rng: np.random.Generator
) -> dict[SplitName, Array]:
    """Draws disjoint stratified splits of rows [n]: `sizes` rows each, the rest for training.

    Raises:
        DataError: the data has too few rows.
    """
    needed = sum(sizes.values()) + SMALLEST
    if len(strata) < needed:
        raise DataError(
            f"dataset {name}: the data have {len(strata)} rows, but its splits need {needed}; "
            "use the complete files."
        )
    order = stratified_order(strata, rng)
    cuts = np.cumsum(list(sizes.values()))
    parts = dict(zip((*sizes, "train"), np.split(order, cuts), strict=True))
    return {split: parts[split] for split in SPLITS if split in parts}


def shares(n: int, parts: Mapping[SplitName, float]) -> dict[SplitName, int]:
    """Split sizes from shares of n rows.

    >>> shares(1000, {"test": 0.3, "validation": 0.1})
    {'test': 300, 'validation': 100}
    """
    return {split: round(n * share) for split, share in parts.items()}


def subsample(name: str, splits: Splits, total: int | None) -> dict[SplitName, Array]:
    """Keeps the first rows of every split, `total` rows in all, in the proportions of the splits.

    The splits must be in stratified order (see `draw`).

    Raises:
        DataError: `total` exceeds the available rows, or leaves a split with too few.
    """
    available = sum(map(len, splits.values()))
    if total is None:
        return dict(splits)
    least = -(-SMALLEST * available // min(map(len, splits.values())))
    if not least <= total <= available:
        raise DataError(
            f"dataset {name}: subsample={total} cannot be drawn from {available} rows; give a "
            f"number from {least} to {available}, or null for all of them."
        )
    sizes = {s: round(len(rows) * total / available) for s, rows in splits.items()}
    sizes["train"] += total - sum(sizes.values())  # what rounding left over
    return {split: rows[: sizes[split]] for split, rows in splits.items()}


def cut_rare(name: str, pool: Array, y: Array, rare: int | None, keep: float) -> Array:
    """Cuts the rows of class `rare` in a pool [m] to the share `keep`; the order stays.

    Reference: Bagdasaryan et al. 2019, arXiv 1905.12101, section 4 (one class of the training
    set cut down, the test set natural).

    Raises:
        DataError: fewer than two rows would remain, so some half of the pool would have none.
    """
    if rare is None:
        return pool
    rows = np.flatnonzero(y[pool] == rare)
    kept = round(keep * len(rows))
    if kept < 2:
        raise DataError(
            f"dataset {name}: keep={keep} leaves {kept} of the {len(rows)} rows of class {rare} "
            "in the training pool; give a larger share, so that at least 2 stay."
        )
    return np.delete(pool, rows[kept:])


def pack(splits: Splits) -> tuple[Array, dict[SplitName, Array]]:
    """(rows [k], splits): the rows of all splits, and the splits as positions among them.

    Rows outside all splits are left out of a Problem to save memory.
    """
    rows = np.concatenate([splits[s] for s in SPLITS])
    ends = np.cumsum([len(splits[s]) for s in SPLITS])
    return rows, {
        s: np.arange(end - len(splits[s]), end) for s, end in zip(SPLITS, ends, strict=True)
    }
