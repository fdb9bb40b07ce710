"""Which rows of an audit the model has seen: declared by the user, or found by content."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pandas import DataFrame, Series, isna, to_numeric
from pandas.api.types import is_numeric_dtype
from pandas.util import hash_pandas_object

from trustbench.contracts import Array
from trustbench.contracts.shortening import listed
from trustbench.datasets.loading.own.splitting import WORDS
from trustbench.errors import UserError
from trustbench.models.given.class_names import class_name

PARTS = {w: "calibration" if part == "validation" else part for w, part in WORDS.items()}
"""Word of a split column -> part. An audit tunes nothing, so rows for validation calibrate."""
How = Literal["train file", "split column", "declared unseen", "unknown"]


@dataclass(frozen=True)
class Parts:
    """The part of every row of the table, and how it is known."""

    seen: Array  # bool [n]: the model was trained on it, or on a copy
    calibration: Array  # bool [n]
    how: How
    copies: int = 0  # rows found to equal a training row

    @property
    def known(self) -> bool:
        """Whether anybody has said which rows the model has seen."""
        return self.how != "unknown"

    @property
    def test(self) -> Array:
        """Rows that the model has not seen, as far as is known: bool [n]."""
        return np.asarray(~self.seen & ~self.calibration)


def parts_of(
    table: DataFrame,
    *,
    train: DataFrame | None = None,
    unseen: bool = False,
    split_column: str | None = None,
) -> Parts:
    """The parts of a table's rows.

    Args:
        table: the table, without columns of predictions.
        train: the rows that the model was trained on.
        unseen: the user states that the model has seen none of the rows.
        split_column: a column with the words train, test, calibration, validation.

    Raises:
        UserError: more than one of them is given, or one that cannot be used.
    """
    given = [
        name
        for name, on in (
            ("--train", train is not None),
            ("--unseen", unseen),
            ("--split-column", split_column is not None),
        )
        if on
    ]
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} were given; give only one of them.")
    none = np.zeros(len(table), dtype=bool)
    if train is not None:
        copies = copies_of(table, train)
        return Parts(copies, none, "train file", int(copies.sum()))
    if split_column is not None:
        return _by_column(table, split_column)
    return Parts(none, none, "declared unseen" if unseen else "unknown")


def copies_of(table: DataFrame, train: DataFrame) -> Array:
    """Which rows equal a training row in every column that both tables have: bool [n].

    Raises:
        UserError: the tables share too few columns to tell.
    """
    shared = [column for column in table.columns if column in set(train.columns)]
    if len(shared) < 2 or len(shared) < len(table.columns) / 2:
        raise UserError(
            f"the training rows share {'only ' + listed(shared) if shared else 'no column'} with "
            f"the table's {listed(list(table.columns))}, so copies cannot be found; give "
            "the training table with the same columns."
        )
    if not len(train):
        return np.zeros(len(table), dtype=bool)
    pairs = [_alike(table[column], train[column]) for column in shared]
    own, seen = (_contents(columns) for columns in zip(*pairs, strict=True))
    return np.isin(own, np.unique(seen))


def _by_column(table: DataFrame, column: str) -> Parts:
    words = table[column].astype(str).str.strip().str.lower()
    unknown = sorted(set(words) - set(PARTS))
    if unknown:
        raise UserError(
            f"--split-column {column} holds {listed(unknown)}; its words are train, test and, if "
            "wanted, calibration or validation."
        )
    part = words.map(PARTS).to_numpy()
    seen = np.asarray(part == "train")
    copies = copies_of(table.drop(columns=column), table[seen].drop(columns=column)) & ~seen
    held = np.asarray(part == "calibration")
    return Parts(seen | copies, held & ~copies, "split column", int(copies.sum()))


def _contents(columns: Sequence[Series]) -> Array:
    """A digest of each row's content, uint64 [n]."""
    plain = DataFrame(dict(enumerate(columns)))
    return np.asarray(hash_pandas_object(plain, index=False).to_numpy())


def _alike(one: Series, other: Series) -> tuple[Series, Series]:
    """The same column of two tables in one form, whatever its type in each: numbers, or text."""
    columns = one, other
    numbers = [_as_numbers(column) for column in columns]
    if any(is_numeric_dtype(c) for c in columns) and not any(n is None for n in numbers):
        rounded = any(c.dtype == np.float32 for c in columns)
        forms = [n.astype(np.float32) if rounded else n for n in numbers if n is not None]
    else:
        forms = [Series(["" if isna(v) else class_name(v).strip() for v in c]) for c in columns]
    return forms[0], forms[1]


def _as_numbers(values: Series) -> Series | None:
    """A column as float64; None if it holds anything else."""
    if not is_numeric_dtype(values):
        found = to_numeric(values.astype(object), errors="coerce")
        if found.isna().sum() > values.isna().sum():
            return None
        values = found
    return Series(values.to_numpy(dtype=np.float64, na_value=np.nan))
