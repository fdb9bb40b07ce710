"""The classes of a table: which they are, which is favourable, which rows have none."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from trustbench.contracts import Array
from trustbench.contracts.shortening import listed
from trustbench.datasets.loading.own.declared import DeclaredColumn, Level
from trustbench.datasets.loading.own.settings import TableError, TableSetting
from trustbench.datasets.loading.own.values import (
    Series,
    bin_names,
    binned,
    find_level,
    is_date,
    is_number,
    levels_of,
)

MOST_CLASSES = 50


class Target(NamedTuple):
    """The class of each row, int64 [n], -1 where the table has none; and what was decided.

    `classes` has the favourable one of two last; `assumed` says that nobody declared it. Of more
    classes, `favoured` are the positions of those that are declared to be favourable. `in_order`
    has the classes by size or alphabet, which is how encoders of labels count.
    """

    y: Array
    classes: tuple[str, ...]
    in_order: tuple[str, ...]
    favoured: tuple[int, ...] = ()
    assumed: bool = False

    @property
    def favourable(self) -> tuple[str, ...]:
        """The favourable classes; none of three or more without a declaration."""
        chosen = (1,) if len(self.classes) == 2 else self.favoured
        return tuple(self.classes[k] for k in chosen)


def read_target(
    table: pd.DataFrame,
    name: str,
    declared: DeclaredColumn,
    favourable: Level | Sequence[Level] | None,
) -> Target:
    """Reads the classes of column `name`; of two, the favourable one becomes class 1.

    Of more, several may be favourable.

    Raises:
        DataError: it has one class, or numbers too many to be classes.
    """
    y, classes = _coded(table[name], name, declared)
    if len(classes) < 2:
        only = f"only the value {classes[0]!r}" if classes else "no values"
        raise TableError(
            f"the target {name} has {only}; a model needs two or more classes to tell apart, so "
            "give a table with both outcomes, or another ",
            TableSetting("target"),
        )
    good = _favoured(favourable, classes, name)
    if len(classes) == 2:
        return _binary(y, classes, good)
    return Target(y, tuple(classes), tuple(classes), good)


def _favoured(
    given: Level | Sequence[Level] | None, classes: list[str], name: str
) -> tuple[int, ...]:
    """The positions of the classes that are declared to be favourable.

    Raises:
        DataError: one is not a class, or all are favourable.
    """
    if given is None:
        return ()
    wanted = tuple(given) if isinstance(given, list | tuple) else (given,)
    found = [find_level(level, classes) for level in wanted]
    for level, meant in zip(wanted, found, strict=True):
        if meant is None:
            raise TableError(
                TableSetting("favourable", str(level)),
                f" is not a class of {name}; its classes are "
                f"{' and '.join(classes) if len(classes) == 2 else listed(classes)}",
            )
    if len(set(found)) == len(classes):
        raise TableError(
            TableSetting("favourable"),
            f" names every class of {name} ({listed(classes)}); name those that people hope for",
        )
    return tuple(sorted({classes.index(meant) for meant in found if meant is not None}))


def _coded(values: Series, name: str, declared: DeclaredColumn) -> tuple[Array, list[str]]:
    if declared.bins:
        if not is_number(values):
            raise TableError(
                TableSetting("bins", column=name), f" cuts numbers, but {name} holds text"
            )
        y = binned(values.to_numpy(dtype=np.float64), declared.bins)
        names = bin_names(declared.bins)
        present = [k for k in range(len(names)) if (y == k).any()]
        place = np.full(len(names) + 1, -1, dtype=np.int64)
        place[present] = np.arange(len(present))
        return place[y], [names[k] for k in present]
    if is_date(values):
        raise TableError(
            f"the target {name} holds dates; give ",
            TableSetting("target"),
            " a column of classes, such as whether a date has passed",
        )
    y, names = levels_of(values)
    if len(names) > MOST_CLASSES:
        _refuse_many(values, name, len(names))
    return y, names


def _refuse_many(values: Series, name: str, n: int) -> None:
    if is_number(values):
        middle = float(values.median())
        raise TableError(
            f"the target {name} has {n:,} different numbers, and trustbench predicts classes, not "
            "quantities; cut it: ",
            TableSetting("bins", f"[{middle:g}]", column=name),
            " gives two classes at the median",
        )
    raise TableError(
        f"the target {name} has {n:,} different values, more than {MOST_CLASSES} classes; give ",
        TableSetting("target"),
        " another column, or merge classes in the file",
    )


def _binary(y: Array, classes: list[str], good: Sequence[int]) -> Target:
    if not good or good[0] == 1:
        return Target(y, tuple(classes), tuple(classes), assumed=not good)
    flipped = np.where(y < 0, y, 1 - y)
    return Target(flipped, tuple(reversed(classes)), tuple(classes))


def labelled_rows(
    table: pd.DataFrame, name: str, y: Array, unlabelled: Literal["refuse", "drop"]
) -> Array:
    """The positions of the rows with a class.

    Raises:
        DataError: rows have none, and `unlabelled` is not `drop`.
    """
    rows = np.flatnonzero(y >= 0)
    absent = len(y) - len(rows)
    if absent and unlabelled == "refuse":
        first = table.index[np.flatnonzero(y < 0)[0]]
        where = "row" if table.index.name is None else table.index.name
        raise TableError(
            f"the target {name} has no value in {absent:,} of {len(y):,} rows (first: {where} "
            f"{first}); fill them in the file, or leave these rows out with ",
            TableSetting("unlabelled", "drop"),
        )
    return rows
