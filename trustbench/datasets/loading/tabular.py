"""Turns tables of people into problems: named columns, one-hot blocks, scaling from the pool."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from trustbench.contracts import (
    Array,
    CategoryColumn,
    DataCard,
    Encoder,
    Feature,
    GroupRule,
    NumberColumn,
    Problem,
    Read,
    SensitiveColumn,
    SplitName,
)
from trustbench.datasets.loading.columns import Column, Numeric
from trustbench.datasets.loading.splits import pack

POOL_STATISTICS = Read("pool", "means, deviations and ranges of numbers", into="inputs")
"""What `table_problem` learns from the training pool; loaders that call it declare it."""


@dataclass(frozen=True)
class Groups:
    """The group of each row. `levels` is the level [n] that put the row there, in words.

    `rule` says how the group follows from raw columns, for rows that are scored later.
    """

    name: str
    names: tuple[str, ...]
    codes: Array  # int64 [n]
    levels: Array | None = None
    rule: GroupRule | None = None

    def merged(self, rows: Array) -> str:
        """A sentence with the levels and rows of each group that has several levels; or ''."""
        if self.levels is None:
            return ""
        told = []
        for k, name in enumerate(self.names):
            counts = Counter(self.levels[rows[self.codes[rows] == k]]).most_common()
            if len(counts) > 1:
                listed = ", ".join(f"{level} {n:,}" for level, n in counts)
                told.append(f" Counted as {name}: {listed}.")
        return "".join(told)


def groups_by(
    name: str,
    levels: Array,
    groups: Mapping[str, Sequence[str]],
    words: Mapping[str, str] | None = None,
    column: str | None = None,
) -> Groups:
    """Makes groups from the levels [n] of a column; each group is a declared list of known levels.

    `words` gives the meaning of a level if the file has a code for it. `column` is the name of the
    column, if it is not that of the groups.
    """
    place = {level: k for k, group in enumerate(groups.values()) for level in group}
    position, found = pd.factorize(levels)
    said = [(words or {}).get(level, level) for level in found]
    return Groups(
        name=name,
        names=tuple(groups),
        codes=np.array([place[level] for level in found], dtype=np.int64)[position],
        levels=np.array(said, dtype=object)[position],
        rule=GroupRule(
            (
                SensitiveColumn(
                    column or name, {v: k for k, group in groups.items() for v in group}
                ),
            ),
            {group: k for k, group in enumerate(groups)},
        ),
    )


def levels_rule(column: str, names: Sequence[str]) -> GroupRule:
    """The rule of groups that are the levels of one column."""
    places = {name: k for k, name in enumerate(names)}
    return GroupRule((SensitiveColumn(column, {name: name for name in names}),), places)


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
    rules = [_rule(frame, column, rows[packed["train"]]) for column in columns]
    encoder = Encoder(tuple(rules), groups.rule)
    X = encoder.encode(frame.iloc[rows])
    seen = X[np.concatenate([packed["train"], packed["test"]])]
    return Problem(
        name=name,
        X=X,
        y=y[rows].astype(np.int64),
        group=groups.codes[rows].astype(np.int64),
        classes=classes,
        groups=groups.names,
        group_name=groups.name,
        features=tuple(
            _feature(column, rule, place, seen)
            for column, rule, place in zip(columns, rules, encoder.places(), strict=True)
        ),
        splits=packed,
        card=replace(card, description=card.description + groups.merged(rows)),
        encoder=encoder,
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


def _rule(frame: pd.DataFrame, column: Column, pool: Array) -> NumberColumn | CategoryColumn:
    """How the raw values of a column become inputs; numbers are scaled by the rows `pool`."""
    values = frame[column.name]
    if isinstance(column, Numeric):
        _, mean, deviation = standardise(values.to_numpy(dtype=np.float64), pool)
        return NumberColumn(column.name, mean, deviation)
    levels = sorted(map(str, values.astype(str).unique()))
    codes = {code: level for code, level in column.levels.items() if level in levels}
    spans = {
        level: (span.first, span.last) for level, span in column.spans.items() if level in levels
    }
    return CategoryColumn(column.name, tuple(levels), codes, spans)


def _feature(
    column: Column, rule: NumberColumn | CategoryColumn, places: tuple[int, ...], seen: Array
) -> Feature:
    if isinstance(rule, NumberColumn):
        values = seen[:, places[0]]
        low, high = float(values.min()), float(values.max())
        return Feature(
            column.name, "numeric", places, low, high, column.mutable, action=column.action
        )
    return Feature(
        name=column.name,
        kind="categorical",
        columns=places,
        lower=0.0,
        upper=1.0,
        mutable=column.mutable,
        scale=0.0,
        levels=rule.levels,
        action=column.action,
    )
