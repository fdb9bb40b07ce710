"""The classes and groups of a table that is audited."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trustbench.contracts import Array
from trustbench.contracts.shortening import listed
from trustbench.errors import DataError, did_you_mean
from trustbench.models.given.class_names import class_name

if TYPE_CHECKING:
    from pandas import DataFrame, Series

MOST_CLASSES = 50
MOST_LEVELS = 10
EVERYONE = "everyone"
MISSING = "missing"


class Coded(NamedTuple):
    """A level for each row, int64 [n], and the names of the levels."""

    of: Array
    names: tuple[str, ...]


def read_classes(table: "DataFrame", target: str, favourable: str | None) -> Coded:
    """The class of each row; of two, the favourable one is class 1, by default the last.

    Raises:
        DataError: there is no such column, a row has no class, or there is one class or too many.
    """
    require(table, "--target", [target])
    values = table[target]
    absent = int(values.isna().sum())
    if absent:
        raise DataError(
            f"the target {target} has no value in {absent:,} of {len(values):,} rows; fill them in "
            "the file, or leave these rows out."
        )
    y, names = _coded(values)
    if len(names) < 2:
        raise DataError(
            f"the target {target} has only the value {listed(names)}; give rows of at least two "
            "classes."
        )
    if len(names) > MOST_CLASSES:
        raise DataError(
            f"the target {target} has {len(names):,} different values, and trustbench audits "
            "classifiers; give a column of classes."
        )
    return _favoured(Coded(y, names), target, favourable)


def read_groups(table: "DataFrame", sensitive: Sequence[str]) -> Coded:
    """The group of each row: the combination of its levels in the sensitive columns.

    Raises:
        DataError: there is no such column, or one holds an amount.
    """
    require(table, "--sensitive", sensitive)
    if not sensitive:
        return Coded(np.zeros(len(table), dtype=np.int64), (EVERYONE,))
    parts = []
    for column in sensitive:
        of, names = _coded(table[column])
        if len(names) > MOST_LEVELS and table[column].dtype.kind in "fiu":
            raise DataError(
                f"--sensitive names {column}, a number with {len(names):,} different values; give "
                "a column of groups, such as age bands."
            )
        parts.append((of, [n if not n[:1].isdigit() else f"{column} {n}" for n in names]))
    found, of = np.unique(np.stack([of for of, _ in parts]), axis=1, return_inverse=True)
    named = [
        ", ".join(names[k] for (_, names), k in zip(parts, level, strict=True)) for level in found.T
    ]
    return Coded(np.asarray(np.ravel(of), dtype=np.int64), tuple(named))


def require(table: "DataFrame", flag: str, columns: Sequence[str]) -> None:
    """Raises DataError for a column that the table does not have."""
    for column in columns:
        if column not in table.columns:
            near = did_you_mean(column, map(str, table.columns))
            raise DataError(f"{flag} names {column!r}, which is not a column; {near}")


def _coded(values: "Series[str]") -> Coded:
    """The levels of a column, in their order; a missing value is the last."""
    import pandas as pd

    codes, levels = pd.factorize(values, sort=True)
    names = [class_name(level) for level in levels]
    if (codes < 0).any():
        codes, names = np.where(codes < 0, len(names), codes), [*names, MISSING]
    return Coded(np.asarray(codes, dtype=np.int64), tuple(names))


def _favoured(coded: Coded, target: str, favourable: str | None) -> Coded:
    if favourable is None:
        return coded
    if favourable not in coded.names:
        raise DataError(
            f"--favourable={favourable} is not a class of {target}; "
            f"{did_you_mean(favourable, coded.names)}"
        )
    if len(coded.names) > 2:
        raise DataError(
            f"--favourable={favourable} needs two classes, and {target} has {len(coded.names)}; "
            "leave it out."
        )
    if favourable == coded.names[1]:
        return coded
    return Coded(1 - coded.of, coded.names[::-1])
