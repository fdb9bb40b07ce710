"""The columns of a raw table and their allowed values. Unknown values are refused and named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from trustbench.contracts import Action, Array
from trustbench.contracts.shortening import listed
from trustbench.datasets.loading.sources import Source

Levels = dict[str, str]
"""The codes that a file may hold, each with the name of its level."""

Fields: TypeAlias = "pd.Series[Any]"


def known(*codes: str) -> Levels:
    """Levels whose names equal the codes of the file."""
    return {code: code for code in codes}


class Span(NamedTuple):
    """Codes from `first` to `last`, both included."""

    first: int
    last: int


@dataclass(frozen=True)
class Numeric:
    """A numeric column. `mutable` says whether a person could change it, `action` how at most.

    `low` and `high` are the smallest and largest number that the source documents as possible;
    `whole` allows only whole numbers. A field that equals `missing` is documented as absent and
    becomes NaN.
    """

    name: str
    mutable: bool = True
    low: float = -np.inf
    high: float = np.inf
    whole: bool = False
    missing: str | None = None
    action: Action | None = None

    def read(self, source: Source, fields: Fields) -> Array:
        """Reads the column as numbers, float64 [n].

        Raises:
            DataError: a field is not a number, or not a possible one.
        """
        values = pd.to_numeric(fields, errors="coerce").to_numpy(dtype=np.float64)
        given = (fields != self.missing).to_numpy() if self.missing is not None else True
        self._refuse(source, fields, given & ~np.isfinite(values), "where a number belongs")
        if self.whole:
            self._refuse(source, fields, given & (values % 1 != 0), "where a whole number belongs")
        outside = given & ((values < self.low) | (values > self.high))
        self._refuse(source, fields, outside, f"outside of what is possible, {self._range()}")
        return values

    def _refuse(self, source: Source, fields: Fields, bad: Array, why: str) -> None:
        if bad.any():
            raise source.fault(f"column {self.name}", f"{_counted(fields[bad])}, {why}")

    def _range(self) -> str:
        if np.isinf(self.high):
            return f"at least {self.low:g}"
        return f"from {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Categorical:
    """A categorical column, one-hot; attacks do not change it unless its `scale` is set.

    A column of a file declares its `levels`, or `spans`: levels that each stand for a range of
    number codes. Other codes are refused.
    """

    name: str
    mutable: bool = True
    levels: Levels = field(default_factory=dict)
    spans: Mapping[str, Span] = field(default_factory=dict)
    action: Action | None = None

    def read(self, source: Source, fields: Fields) -> Array:
        """Reads the names of the levels, object [n].

        Raises:
            DataError: the file holds an unknown code, which never becomes a level of its own.
        """
        position, values = pd.factorize(fields, use_na_sentinel=False)
        levels = np.array([self.level(_code(value)) for value in values], dtype=object)
        unknown = np.array([level is None for level in levels], dtype=bool)[position]
        if unknown.any():
            raise source.fault(
                f"column {self.name}",
                f"unknown codes: {_counted(fields[unknown])}; known: {self.described()}",
            )
        return np.asarray(levels[position])

    def level(self, code: str) -> str | None:
        """The name of the level of a code; None if the code is unknown."""
        if not self.spans:
            return self.levels.get(code)
        number = int(code) if code.isascii() and code.isdecimal() else -1
        return next((n for n, s in self.spans.items() if s.first <= number <= s.last), None)

    def described(self) -> str:
        """The known codes, for use in a sentence.

        >>> Categorical("x", levels=known("a", "b")).described()
        'a, b'
        >>> Categorical("x", spans={"low": Span(1, 9), "none": Span(99, 99)}).described()
        '1 to 9 (low), 99 to 99 (none)'
        """
        if not self.spans:
            return ", ".join(self.levels)
        return ", ".join(f"{s.first} to {s.last} ({name})" for name, s in self.spans.items())


Column = Numeric | Categorical


def read_columns(source: Source, table: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Reads the declared columns of a raw table: numbers as float64, codes as names of levels.

    The index is kept: it gives the position of each row in the file.

    Raises:
        DataError: the first column with other values; the sentence names the values,
            how many rows have them, and where.
    """
    return pd.DataFrame(
        {column.name: column.read(source, table[column.name]) for column in columns},
        index=table.index,
    )


def _code(value: object) -> str:
    """Converts a value to a code: a whole number is written without a decimal point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _counted(fields: Fields) -> str:
    """Lists values, each with its number of rows and the position of the first one."""
    position, values = pd.factorize(fields, use_na_sentinel=False)
    found = []
    for k, value in enumerate(values):
        places = fields.index[position == k]
        rows = "1 row" if len(places) == 1 else f"{len(places):,} rows"
        found.append(f"{_shown(value)} in {rows} (first on {fields.index.name} {places[0]})")
    return listed(found)


def _shown(value: object) -> str:
    if isinstance(value, float) and np.isnan(value):
        return "no value"
    text = _code(value)
    return repr(text if len(text) <= 40 else f"{text[:40]}...")
