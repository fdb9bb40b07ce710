"""How a table is read: what a user may declare, and what was understood."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

import pandas as pd

from trustbench.errors import DataError

Type = Literal["number", "text", "date", "boolean"]
Code = str | int | float
"""A field that means missing: text as it is in the file, or a number in any spelling."""

NONE = "none"
"""Declares that a file has no such sign, where null means that it is sniffed."""

OTHERS = "*"
"""In a mapping of columns: all columns that it does not name."""


@dataclass(frozen=True)
class Reading:
    """How a table is read. None means sniffed; a mapping of columns leaves the others to sniffing.

    `separator`, `quoting`, `escape`, `decimal` and `thousands` are signs, or "none". `header` says
    whether the first line names the columns; `names` replaces the names, or gives them to a file
    without a header. `index` is the column that only names rows, or false. `types` are number,
    text, date or boolean, `dates` are formats such as %d.%m.%Y, and `booleans` are pairs of fields,
    the one for false first. `missing` are the fields that mean missing, for all columns or, in a
    mapping, for each one (`*` stands for all others); an empty field always means missing.
    """

    separator: str | None = None
    quoting: str | None = None
    escape: str | None = None
    decimal: Literal[".", ","] | None = None
    thousands: str | None = None
    encoding: str | None = None
    header: bool | None = None
    names: tuple[str, ...] | None = None
    index: str | bool | None = None
    types: Mapping[str, Type] = field(default_factory=dict)
    dates: Mapping[str, str] = field(default_factory=dict)
    booleans: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    missing: tuple[Code, ...] | Mapping[str, tuple[Code, ...]] | None = None

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    def codes(self, column: str) -> tuple[Code, ...] | None:
        """The declared missing codes of a column; None if they are to be sniffed."""
        if isinstance(self.missing, Mapping):
            return self.missing.get(column, self.missing.get(OTHERS))
        return self.missing

    def declared_type(self, column: str) -> Type | None:
        """The type that the declaration gives a column, also by a date format or a pair."""
        if column in self.dates:
            return "date"
        return "boolean" if column in self.booleans else self.types.get(column)

    def plain(self) -> dict[str, Any]:
        """The fields as plain values for YAML, without those that are left to sniffing."""
        return {k: _plain(v) for k, v in asdict(self).items() if v is not None and v != {}}


@dataclass(frozen=True)
class Frame:
    """A typed table, how it was read, and why.

    Numbers are float64, dates datetime64, booleans bool (`boolean` where some are missing) and text
    object; missing values are NaN, NaT or NA. `why` says in plain words what was decided, by field
    of `Reading` or `column NAME`. `doubts` are columns that cannot be read with certainty, each
    with the sentence that says what to do; until then they are text, or left out if nested.
    """

    table: pd.DataFrame
    understood: Reading
    why: Mapping[str, str]
    doubts: Mapping[str, str] = field(default_factory=dict)

    def refuse_doubts(self, columns: Iterable[str]) -> None:
        """Raises DataError for the first of the columns that cannot be read with certainty."""
        for column in columns:
            if column in self.doubts:
                raise DataError(self.doubts[column])

    def described(self) -> list[str]:
        """The decisions and the doubts, a line each."""
        return [*(f"{what}: {why}" for what, why in self.why.items()), *self.doubts.values()]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value
