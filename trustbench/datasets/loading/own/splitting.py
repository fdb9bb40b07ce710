"""Splits of a table: at random, by a column, by date, or by a group id."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from trustbench.contracts import SPLITS, Array, SplitName
from trustbench.datasets.loading.own.declared import Split
from trustbench.datasets.loading.own.names import require_columns
from trustbench.datasets.loading.own.settings import NAME, TableError
from trustbench.datasets.loading.own.values import Series, is_date, level_name
from trustbench.datasets.loading.splits import SMALLEST, draw, shares, strata_of, stratified_order
from trustbench.errors import DataError

Parts = dict[SplitName, Array]
WORDS: Mapping[str, SplitName] = {
    "train": "train", "training": "train", "learn": "train",
    "test": "test", "testing": "test", "holdout": "test",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "calibration": "calibration", "calib": "calibration", "cal": "calibration",
}  # fmt: skip
FEW_COPIES = 0.2
"""The largest share of rows with a copy at which copies are taken for the same person."""


class Copies(NamedTuple):
    """Rows that repeat another's inputs and class."""

    number: Array  # int64 [n]: equal rows have equal numbers
    rows: int  # how many rows have at least one copy

    @classmethod
    def numbered(cls, number: Array) -> "Copies":
        """Counts the rows whose number occurs more than once."""
        return cls(number, int((np.bincount(number)[number] > 1).sum()))


def copies_of(inputs: pd.DataFrame, y: Array) -> Copies:
    """Finds the rows that agree in every input and in the class."""
    digest = pd.util.hash_pandas_object(inputs, index=False).to_numpy()
    keys = digest * np.uint64(31) + y.astype(np.uint64)
    return Copies.numbered(pd.factorize(keys)[0].astype(np.int64))


def held_out(split: Split) -> dict[SplitName, float]:
    """The shares of the parts beside training, in the order in which they are drawn."""
    return {"test": split.test, "calibration": split.calibration, "validation": split.validation}


def make_splits(
    table: pd.DataFrame,
    split: Split,
    y: Array,
    group: Array,
    copies: Copies,
    rng: np.random.Generator,
) -> Parts:
    """The rows of each part, in stratified order, so that a subsample is a prefix.

    Raises:
        DataError: the column does not give the parts, or a part would be too small.
    """
    _refuse_shares(split)
    if split.by == "random":
        parts = _random(split, y, group, copies, rng)
    else:
        if split.column is None:
            raise TableError(f"dataset.split.by={split.by} needs dataset.split.column=NAME")
        require_columns(table, "dataset.split.column", [split.column])
        makers = {"column": _by_column, "date": _by_date, "group": _by_group}
        parts = makers[split.by](table[split.column], split, strata_of(y, group), rng)
        if split.duplicates == "together":
            parts = _drop_crossing(parts, copies)
    if split.duplicates == "refuse" and copies.rows:
        raise TableError(
            f"{copies.rows:,} rows repeat another row's inputs and class, and "
            "dataset.split.duplicates=refuse; remove the copies, or keep them in one part: together"
        )
    for name in SPLITS:
        if len(parts.get(name, ())) < SMALLEST:
            raise TableError(
                f"the {name} part has {len(parts.get(name, ()))} rows, fewer than {SMALLEST}; "
                f"use more rows, or another dataset.split ({', '.join(held_out(split))} are shares)"
            )
    return parts


def keeps_together(split: Split, copies: Copies) -> bool:
    """Whether copies of a row must be in one part."""
    if split.duplicates is None:
        return 0 < copies.rows <= FEW_COPIES * len(copies.number)
    return split.duplicates == "together" and copies.rows > 0


def crossing(parts: Mapping[SplitName, Array], copies: Copies) -> int:
    """How many rows have a copy in another part."""
    rows = np.concatenate([parts[s] for s in SPLITS])
    part = np.repeat(np.arange(len(SPLITS)), [len(parts[s]) for s in SPLITS])
    seen = np.zeros((len(copies.number), len(SPLITS)), dtype=bool)
    seen[copies.number[rows], part] = True
    return int((seen.sum(axis=1) > 1)[copies.number[rows]].sum())


def _drop_crossing(parts: Parts, copies: Copies) -> Parts:
    """Leaves out the rows of a part whose copies are in a part that is held out before it."""
    taken = np.zeros(len(copies.number), dtype=bool)
    kept: Parts = {}
    for name in ("test", "calibration", "validation", "train"):
        rows = parts[name][~taken[copies.number[parts[name]]]]
        taken[copies.number[rows]] = True
        kept[name] = rows
    return kept


def _refuse_shares(split: Split) -> None:
    left = 1 - sum(held_out(split).values())
    if left <= 0:
        raise TableError(
            f"dataset.split gives test, calibration and validation {1 - left:g} of the rows, so "
            "none is left for training; give smaller shares"
        )


def _random(
    split: Split, y: Array, group: Array, copies: Copies, rng: np.random.Generator
) -> Parts:
    strata = strata_of(y, group)
    if keeps_together(split, copies):
        return _whole_groups(copies.number, split, strata, rng)
    return draw(NAME, strata, shares(len(y), held_out(split)), rng)


def _by_group(values: Series, split: Split, strata: Array, rng: np.random.Generator) -> Parts:
    ids = pd.factorize(values)[0].astype(np.int64)
    alone = ids < 0  # a row without an id is a group of its own
    ids[alone] = ids.max() + 1 + np.arange(alone.sum())
    if len(np.unique(ids)) == len(ids):
        raise TableError(
            f"dataset.split.column={values.name} has a different value in every row, so it groups "
            "nothing; use dataset.split.by=random"
        )
    return _whole_groups(ids, split, strata, rng)


def _whole_groups(ids: Array, split: Split, strata: Array, rng: np.random.Generator) -> Parts:
    """Parts of whole groups of rows; the parts' shares are kept as closely as groups allow."""
    first = np.unique(ids, return_index=True)[1]
    order = stratified_order(strata[first], rng)
    sizes = np.bincount(ids)[order]
    wanted = np.cumsum(list(shares(len(ids), held_out(split)).values()))
    ends = np.cumsum(sizes)
    cuts = np.searchsorted(ends - sizes / 2, wanted)  # a group belongs where its middle lies
    part_of = np.empty(len(order), dtype=np.int64)
    part_of[order] = np.searchsorted(cuts, np.arange(len(order)), side="right")
    part = part_of[ids]
    names: tuple[SplitName, ...] = (*held_out(split), "train")
    return {name: _ordered(np.flatnonzero(part == k), strata, rng) for k, name in enumerate(names)}


def _by_date(values: Series, split: Split, strata: Array, rng: np.random.Generator) -> Parts:
    """Trains on the past: train, validation, calibration and test follow each other in time.

    Rows of one date stay in one part.
    """
    if not is_date(values) and not pd.api.types.is_numeric_dtype(values):
        raise TableError(
            f"dataset.split.column={values.name} holds neither dates nor numbers, so rows have no "
            "order in time; name the column's format in dataset.reading, or split by another column"
        )
    absent = int(values.isna().sum())
    if absent:
        raise TableError(
            f"dataset.split.column={values.name} has no date in {absent:,} rows; fill them or "
            "remove these rows"
        )
    moment, _ = pd.factorize(values, sort=True)
    names: tuple[SplitName, ...] = ("train", "validation", "calibration", "test")
    later = np.cumsum([split.test, split.calibration, split.validation])[::-1]
    ends = np.cumsum(np.bincount(moment))
    cuts = [int(np.searchsorted(ends, round(len(moment) * (1 - share)))) for share in later]
    part = np.searchsorted(cuts, moment, side="left")
    return {name: _ordered(np.flatnonzero(part == k), strata, rng) for k, name in enumerate(names)}


def _by_column(values: Series, split: Split, strata: Array, rng: np.random.Generator) -> Parts:
    position, found = pd.factorize(values)
    words = [WORDS.get(level_name(v).strip().lower()) for v in found]
    unknown = [level_name(v) for v, word in zip(found, words, strict=True) if word is None]
    if unknown or (position < 0).any():
        raise TableError(
            f"dataset.split.column={values.name} holds {', '.join(unknown[:5]) or 'no value'} in "
            f"some rows; its values are train, test and, if wanted, validation and calibration"
        )
    named = np.array([SPLITS.index(word) for word in words if word is not None])[position]
    parts: Parts = {
        name: _ordered(np.flatnonzero(named == k), strata, rng)
        for k, name in enumerate(SPLITS)
        if (named == k).any()
    }
    absent: list[SplitName] = [s for s in ("train", "test") if s not in parts]
    if absent:
        raise TableError(
            f"dataset.split.column={values.name} has no row that says {' or '.join(absent)}; mark "
            "some, or use dataset.split.by=random"
        )
    return _drawn_from_train(parts, split, strata, rng)


def _drawn_from_train(parts: Parts, split: Split, strata: Array, rng: np.random.Generator) -> Parts:
    """Draws the parts that the column does not name from its training rows."""
    beside: dict[SplitName, float] = {
        "calibration": split.calibration,
        "validation": split.validation,
    }
    wanted = {name: share for name, share in beside.items() if name not in parts}
    if not wanted:
        return parts
    train = parts["train"]
    # shares are those of a random split, where the test set takes its own share first
    sizes = shares(round(len(train) / (1 - split.test)), wanted)
    try:
        drawn = draw(NAME, strata[train], sizes, rng)
    except DataError as error:
        raise TableError(
            f"the {len(train)} training rows are too few to draw {' and '.join(wanted)} from; mark "
            f"these in {split.column}, or use more rows"
        ) from error
    return parts | {name: train[rows] for name, rows in drawn.items()}


def _ordered(rows: Array, strata: Array, rng: np.random.Generator) -> Array:
    return rows[stratified_order(strata[rows], rng)] if len(rows) else rows
