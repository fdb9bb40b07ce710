"""Turns tables of people into problems: named columns, one-hot blocks, scaling from the pool."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from trustbench.contracts import Array, DataCard, Feature, Problem, Read, SplitName
from trustbench.datasets.loading.columns import Categorical, Column, Numeric
from trustbench.datasets.loading.splits import pack

POOL_STATISTICS = Read("pool", "means, deviations and ranges of numbers", into="inputs")
"""What `table_problem` learns from the training pool; loaders that call it declare it."""


@dataclass(frozen=True)
class Groups:
    """The group of each row. `levels` is the level [n] that put the row there, in words."""

    name: str
    names: tuple[str, ...]
    of: Array  # int64 [n]
    levels: Array | None = None

    def merged(self, rows: Array) -> str:
        """A sentence with the levels and rows of each group that has several levels; or ''."""
        if self.levels is None:
            return ""
        told = []
        for k, name in enumerate(self.names):
            counts = Counter(self.levels[rows[self.of[rows] == k]]).most_common()
            if len(counts) > 1:
                listed = ", ".join(f"{level} {n:,}" for level, n in counts)
                told.append(f" Counted as {name}: {listed}.")
        return "".join(told)


def groups_by(
    name: str,
    levels: Array,
    groups: Mapping[str, Sequence[str]],
    words: Mapping[str, str] | None = None,
) -> Groups:
    """Makes groups from the levels [n] of a column; each group is a declared list of known levels.

    `words` gives the meaning of a level if the file has a code for it.
    """
    place = {level: k for k, group in enumerate(groups.values()) for level in group}
    position, found = pd.factorize(levels)
    said = [(words or {}).get(level, level) for level in found]
    return Groups(
        name=name,
        names=tuple(groups),
        of=np.array([place[level] for level in found], dtype=np.int64)[position],
        levels=np.array(said, dtype=object)[position],
    )


def table_problem(
    name: str,
    frame: pd.DataFrame,
    columns: Sequence[Column],
    y: Array,
    classes: tuple[str, str],
    groups: Groups,
    splits: Mapping[SplitName, Array],
    card: DataCard,
) -> Problem:
    """Builds the problem of a table [n, columns] of numbers and labels; class 1 is favourable.

    Numbers are standardised with the mean and deviation of the training pool. The bounds of a
    number are its range over the pool and the test set, which is what an attack may substitute. A
    label's block has one column for each level in the whole table, so that the width does not
    depend on the subsample. The card counts the levels that a group merges.
    """
    rows, packed = pack(splits)
    blocks, features, width = [], [], 0
    for column in columns:
        if isinstance(column, Numeric):
            block, feature = _number(frame, column, rows, packed, width)
        else:
            block, feature = _one_hot(frame, column, rows, width)
        blocks.append(block)
        features.append(feature)
        width += block.shape[1]
    return Problem(
        name=name,
        X=np.concatenate(blocks, axis=1),
        y=y[rows].astype(np.int64),
        group=groups.of[rows].astype(np.int64),
        classes=classes,
        groups=groups.names,
        group_name=groups.name,
        features=tuple(features),
        splits=packed,
        card=replace(card, description=card.description + groups.merged(rows)),
    )


def standardise(values: Array, pool: Array) -> tuple[Array, float, float]:
    """(scaled [n], mean, deviation) of values [n], using only the rows `pool`.

    A number that is constant in the pool is centred but not divided.

    >>> standardise(np.array([1.0, 3.0, 100.0]), np.array([0, 1]))
    (array([-1.,  1., 98.]), 2.0, 1.0)
    """
    mean, deviation = float(values[pool].mean()), float(values[pool].std())
    deviation = deviation if deviation > 0 else 1.0
    return (values - mean) / deviation, mean, deviation


def _number(
    frame: pd.DataFrame,
    column: Numeric,
    rows: Array,
    packed: Mapping[SplitName, Array],
    at: int,
) -> tuple[Array, Feature]:
    raw = frame[column.name].to_numpy(dtype=np.float64)[rows]
    scaled = standardise(raw, packed["train"])[0].astype(np.float32)
    seen = scaled[np.concatenate([packed["train"], packed["test"]])]
    return scaled[:, None], Feature(
        name=column.name,
        kind="numeric",
        columns=(at,),
        lower=float(seen.min()),
        upper=float(seen.max()),
        mutable=column.mutable,
    )


def _one_hot(
    frame: pd.DataFrame, column: Categorical, rows: Array, at: int
) -> tuple[Array, Feature]:
    labels = pd.Categorical(frame[column.name].astype(str))
    levels = tuple(map(str, labels.categories))
    block = np.zeros((len(rows), len(levels)), dtype=np.float32)
    block[np.arange(len(rows)), labels.codes[rows]] = 1.0
    return block, Feature(
        name=column.name,
        kind="categorical",
        columns=tuple(range(at, at + len(levels))),
        lower=0.0,
        upper=1.0,
        mutable=column.mutable,
        scale=0.0,
        levels=levels,
    )
