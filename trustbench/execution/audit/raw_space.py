"""The way back from a model's inputs to rows of the user's table, for questions about new rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trustbench.contracts import Array, CategoryColumn, Encoder, Feature, NumberColumn
from trustbench.datasets.loading.own.declared import DeclaredTable
from trustbench.datasets.loading.own.inputs import (
    InputColumns,
    change_of,
    features_of,
    learn_inputs,
)
from trustbench.datasets.loading.own.kinds import kinds_of
from trustbench.datasets.loading.own.rules import Learning
from trustbench.errors import DataError, Unsupported

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MOST_LEVELS = 200
"""Maximum number of levels of a category; the rarest of more are merged into one."""


@dataclass(frozen=True)
class _Number:
    """A number: one that occurs in the table comes back as it is written there."""

    rule: NumberColumn
    known: Array  # float32 [k], ascending: the encoded values of the table
    written: Array  # object [k]: the values themselves
    whole: bool

    def decode(self, X: Array) -> Array:
        """Inputs [n, width] -> raw values, object [n]."""
        x = X[:, 0]
        near = np.searchsorted(self.known, x).clip(max=len(self.known) - 1)
        number = x.astype(np.float64) * self.rule.deviation + self.rule.mean
        if self.rule.levels:  # an ordered category: the nearest of its places
            nearest = np.abs(self.known[None] - x[:, None]).argmin(axis=1)
            values = self.written[nearest]
        else:
            number = np.rint(number) if self.whole else number
            values = np.where(self.known[near] == x, self.written[near], number.astype(object))
        if self.rule.indicator:
            values = np.where(X[:, 1] > 0.5, None, values)
        return np.asarray(values, dtype=object)


@dataclass(frozen=True)
class _Category:
    """A category: the level with the largest input, written as most rows write it."""

    written: Array  # object [levels]

    def decode(self, X: Array) -> Array:
        """Inputs [n, levels] -> raw values, object [n]."""
        return np.asarray(self.written[X.argmax(axis=1)])


@dataclass(frozen=True)
class RawSpace:
    """Inputs X [n, d] of a table, and the rows that they stand for."""

    encoder: Encoder
    features: tuple[Feature, ...]
    columns: Mapping[str, "_Number | _Category"]
    constant: Mapping[str, Any]  # the most frequent value of columns that are not inputs
    like: "DataFrame"  # no rows: the columns in order, with their types

    @property
    def places(self) -> dict[str, tuple[int, ...]]:
        """The positions in X of each raw column's inputs."""
        return dict(zip(self.columns, self.encoder.places(), strict=True))

    def decode(self, X: Array) -> "DataFrame":
        """Inputs [n, d] -> raw rows with the columns and types of the table."""
        import pandas as pd

        found: dict[str, Any] = {}
        for name, place in self.places.items():
            values = pd.Series(self.columns[name].decode(X[:, list(place)]), dtype=object)
            found[name] = _typed(values, self.like[name])
        for name, value in self.constant.items():
            values = pd.Series([value] * len(X), dtype=object)
            found[name] = _typed(values, self.like[name])
        return pd.DataFrame({name: found[name] for name in self.like.columns})


def raw_space(rows: "DataFrame", declared: DeclaredTable) -> RawSpace:
    """Learns the inputs of a table; people cannot change sensitive and immutable columns.

    Raises:
        Unsupported: a column is text, or a date, or has very many levels.
    """
    try:
        kinds = kinds_of(rows, list(rows.columns), declared.columns)
        changes = {c: change_of(c, declared) for c in rows.columns}
        columns = InputColumns(kinds, (), declared.columns, changes)
        how = Learning(np.arange(len(rows)), "own", 1, MOST_LEVELS)
        rules = learn_inputs(rows, columns, how).rules
        encoder = Encoder(rules)
        X = encoder.encode(rows)
    except DataError as error:
        raise Unsupported(f"needs rows that can be changed column by column: {error}") from error
    names = [rule.name for rule in rules]
    if len(set(names)) != len(names):
        raise Unsupported("needs rows that can be changed column by column, and one is a date")
    features = features_of(rules, encoder.places(), columns, X)
    found = {rule.name: _way_back(rule, rows[rule.name]) for rule in rules}
    constant = {c: _frequent(rows[c]) for c in rows.columns if c not in found}
    return RawSpace(encoder, features, found, constant, rows.iloc[:0])


def _way_back(rule: NumberColumn | CategoryColumn, values: "Series") -> "_Number | _Category":
    distinct = values.dropna().drop_duplicates()
    if isinstance(rule, CategoryColumn):
        counts = values.value_counts(dropna=False)
        written = np.full(len(rule.levels), None, dtype=object)
        for value in counts.index[::-1]:  # the most frequent is written last
            level = rule.missing if value is None or value != value else rule.level(value)
            written[rule.levels.index(str(level))] = value
        return _Category(written)
    encoded = rule.encode(distinct)[:, 0]
    order = np.argsort(encoded, kind="stable")
    plain = distinct.to_numpy(dtype=object)[order]
    whole = all(float(v).is_integer() for v in plain) if not rule.levels else False
    return _Number(rule, encoded[order], plain, whole)


def _frequent(values: "Series") -> Any:
    counts = values.value_counts(dropna=False)
    return counts.index[0] if len(counts) else None


def _typed(values: "Series", like: "Series") -> "Series":
    """Values with the type of a column of the table; numbers with a gap become floats."""
    if values.isna().any() and like.dtype.kind in "iub":
        return values.astype(np.float64)
    return values.astype(like.dtype)
