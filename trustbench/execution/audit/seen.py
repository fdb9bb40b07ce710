"""Which rows of an audit the model has seen: declared by the user, or found by content."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trustbench.contracts import Array
from trustbench.contracts.shortening import listed
from trustbench.errors import UserError

if TYPE_CHECKING:
    from pandas import DataFrame

PARTS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "calibration": "calibration",
    "calib": "calibration",
    "cal": "calibration",
    "validation": "calibration",
    "valid": "calibration",
    "val": "calibration",
    "dev": "calibration",
}
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
    table: "DataFrame",
    *,
    train: "DataFrame | None" = None,
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
        raise UserError(f"{' and '.join(given)} were given; one of them says what was seen.")
    none = np.zeros(len(table), dtype=bool)
    if train is not None:
        copies = copies_of(table, train)
        return Parts(copies, none, "train file", int(copies.sum()))
    if split_column is not None:
        return _by_column(table, split_column)
    return Parts(none, none, "declared unseen" if unseen else "unknown")


def copies_of(table: "DataFrame", train: "DataFrame") -> Array:
    """Which rows equal a training row in every column that both tables have: bool [n].

    Raises:
        UserError: the tables share too few columns to tell.
    """
    shared = [column for column in table.columns if column in set(train.columns)]
    if len(shared) < 2 or len(shared) < len(table.columns) / 2:
        raise UserError(
            f"the training rows share only {listed(shared) or 'no column'} with the table's "
            f"{listed(list(table.columns))}, so copies cannot be found; give the training table "
            "with the same columns."
        )
    return np.isin(_contents(table, shared), np.unique(_contents(train, shared)))


def _by_column(table: "DataFrame", column: str) -> Parts:
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


def _contents(table: "DataFrame", columns: Sequence[str]) -> Array:
    """A digest of each row's content, uint64 [n]; a number has one form, whatever its type."""
    import pandas as pd

    plain = pd.DataFrame({str(k): _plain(table[c]) for k, c in enumerate(columns)})
    return pd.util.hash_pandas_object(plain, index=False).to_numpy()


def _plain(values: Any) -> Any:
    """A column as float64 if it holds numbers, else as text."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values):
        return pd.Series(values.to_numpy(dtype=np.float64, na_value=np.nan))
    return pd.Series(values.astype(object).where(values.notna(), "").astype(str).to_numpy())
