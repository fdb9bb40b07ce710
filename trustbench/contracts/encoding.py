"""How the raw columns of a table become the model's inputs, as data that can be stored as JSON.

A loader fills `Problem.encoder` with what it learnt from the training pool, and builds X with it.
Code that scores new rows later reads the same description, so a raw row gives the same input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter

from trustbench.contracts.arrays import Array
from trustbench.contracts.raw_values import (
    DatePart,
    Fields,
    date_part,
    labels_of,
    missing_value,
    numbers_of,
    places_of,
    written,
)
from trustbench.contracts.shortening import listed
from trustbench.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class NumberColumn:
    """A number, standardised. `fill` replaces a missing value; None refuses it.

    `indicator` adds a second input, 1 where the value is missing. Numbers below `low` and above
    `high` count as these. The number of an ordered category is its place among `levels`, that of a
    date one of its parts.
    """

    name: str
    mean: float
    deviation: float
    fill: float | None = None
    indicator: bool = False
    low: float | None = None
    high: float | None = None
    levels: tuple[str, ...] = ()
    part: DatePart | None = None
    kind: Literal["number"] = "number"

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    @property
    def width(self) -> int:
        """The number of inputs that the column becomes."""
        return 2 if self.indicator else 1

    def encode(self, values: Fields) -> Array:
        """Raw values [n] -> inputs float32 [n, width]."""
        numbers = self.numbers(values)
        missing = np.isnan(numbers)
        if missing.any():
            if self.fill is None:
                raise missing_value(self.name, missing, "a number")
            numbers = np.where(missing, self.fill, numbers)
        if np.isinf(numbers).any():
            raise DataError(
                f"column {self.name} holds an infinite number "
                f"(row {int(np.isinf(numbers).argmax())}); correct it."
            )
        scaled = ((numbers - self.mean) / self.deviation).astype(np.float32)[:, None]
        return (
            np.hstack([scaled, missing[:, None].astype(np.float32)]) if self.indicator else scaled
        )

    def numbers(self, values: Fields) -> Array:
        """Raw values [n] -> numbers float64 [n], NaN where missing, before any scaling."""
        if self.part is not None:
            return date_part(self.name, values, self.part)
        if self.levels:
            return places_of(self.name, values, self.levels)
        numbers = numbers_of(self.name, values)
        if self.low is None and self.high is None:
            return numbers
        return np.clip(numbers, self.low, self.high)


@dataclass(frozen=True)
class CategoryColumn:
    """A category, one input for each level.

    A value is the name of a level, or a code of the file: one of `codes` (code -> level), or a
    whole number within one of `spans` (level -> first and last). `missing` is the level of a
    missing value and `other` that of an unknown one; None refuses them.
    """

    name: str
    levels: tuple[str, ...]
    codes: Mapping[str, str] = field(default_factory=dict)
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    missing: str | None = None
    other: str | None = None
    kind: Literal["category"] = "category"

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def __post_init__(self) -> None:
        for code, level in self.codes.items():
            if code in self.levels and code != level:
                raise DataError(
                    f"column {self.name} has code {code!r} for level {level!r}, but {code!r} is "
                    "also the name of another level; give the level another name."
                )

    @property
    def width(self) -> int:
        """The number of inputs that the column becomes."""
        return len(self.levels)

    def encode(self, values: Fields) -> Array:
        """Raw values [n] -> inputs float32 [n, width]."""
        places = {level: k for k, level in enumerate(self.levels)}
        labels = labels_of(self.name, values, self.level, self.missing, self.levels)
        place = np.array([places.get(level, -1) for level in labels.distinct])[labels.codes]
        block = np.zeros((len(values), len(self.levels)), dtype=np.float32)
        block[np.arange(len(values)), place] = 1.0
        return block

    def level(self, value: object) -> str | None:
        """The level of a value that is not missing; None if it is unknown."""
        for text in written(value):
            level = text if text in self.levels else self.codes.get(text) or self._spanned(text)
            if level in self.levels:
                return level
        return self.other

    def _spanned(self, text: str) -> str | None:
        number = int(text) if text.isascii() and text.isdecimal() else -1
        return next((n for n, (a, b) in self.spans.items() if a <= number <= b), None)


@dataclass(frozen=True)
class SensitiveColumn:
    """One column that decides on a row's group: by its levels, or by bins of its numbers.

    `labels` maps a level (or a code of the file) to a label. With `edges`, ascending, `labels` has
    one entry for each bin, in order: value <= edges[0] is the first, value > edges[-1] the last.
    """

    name: str
    labels: Mapping[str, str]
    edges: tuple[float, ...] = ()
    missing: str | None = None
    other: str | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def label(self, values: Fields) -> list[str]:
        """Raw values [n] -> labels [n]."""
        if not self.edges:
            known = tuple(self.labels)
            labels = labels_of(self.name, values, self._known, self.missing, known)
            return [labels.distinct[k] for k in labels.codes]
        numbers, names = numbers_of(self.name, values), [*self.labels.values(), self.missing or ""]
        missing = np.isnan(numbers)
        if missing.any() and self.missing is None:
            raise missing_value(self.name, missing, "a number")
        bins = np.searchsorted(self.edges, numbers, side="left")
        return [names[k] for k in np.where(missing, -1, bins)]

    def _known(self, value: object) -> str | None:
        found = (self.labels[text] for text in written(value) if text in self.labels)
        return next(found, self.other)


@dataclass(frozen=True)
class GroupRule:
    """How raw columns give the group: the labels of the columns, joined by ' | ', name it."""

    columns: tuple[SensitiveColumn, ...]
    groups: Mapping[str, int]

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    def of(self, frame: "pd.DataFrame") -> Array:
        """The group of each row: int64 [n].

        Raises:
            DataError: a column is absent, or a row belongs to none of the groups.
        """
        refuse_absent([c.name for c in self.columns], frame)
        labels = [column.label(frame[column.name]) for column in self.columns]
        joined = [" | ".join(parts) for parts in zip(*labels, strict=True)]
        unknown = sorted(set(joined) - set(self.groups))
        if unknown:
            raise DataError(
                f"no group is declared for {listed(unknown)}; known: "
                f"{listed(list(self.groups), 9)}; correct these rows, or leave them out."
            )
        return np.array([self.groups[label] for label in joined], dtype=np.int64)


ColumnRule = Annotated[NumberColumn | CategoryColumn, Field(discriminator="kind")]


@dataclass(frozen=True)
class Encoder:
    """The columns of the inputs X [n, d], in order, and the rule of the groups if there is one."""

    columns: tuple[ColumnRule, ...]
    group: GroupRule | None = None

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    @property
    def width(self) -> int:
        """d, the number of inputs."""
        return sum(column.width for column in self.columns)

    def places(self) -> list[tuple[int, ...]]:
        """The positions in X of each column's inputs."""
        ends = list(accumulate(column.width for column in self.columns))
        return [
            tuple(range(end - column.width, end))
            for end, column in zip(ends, self.columns, strict=True)
        ]

    def encode(self, frame: "pd.DataFrame") -> Array:
        """Raw rows -> X float32 [n, d]; other columns of the frame are ignored.

        Raises:
            DataError: a column is absent, a value is missing, not a number, or unknown.
        """
        refuse_absent([c.name for c in self.columns], frame)
        return np.concatenate([c.encode(frame[c.name]) for c in self.columns], axis=1)

    def to_json(self) -> str:
        """The description as JSON; `from_json` gives it back bit for bit."""
        return _ADAPTER.dump_json(self, indent=2).decode()

    def content(self) -> dict[str, Any]:
        """The description as plain values, as JSON holds them."""
        found: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return found

    @staticmethod
    def from_content(content: Mapping[str, Any]) -> "Encoder":
        """Reads what `content` gave; pydantic's ValidationError for anything else."""
        return _ADAPTER.validate_python(content)

    @staticmethod
    def from_json(text: str | bytes) -> "Encoder":
        """Reads what `to_json` wrote; pydantic's ValidationError for anything else."""
        return _ADAPTER.validate_json(text)


_ADAPTER = TypeAdapter(Encoder)


def refuse_absent(names: Sequence[str], frame: "pd.DataFrame") -> None:
    """Raises DataError if the frame lacks one of the columns."""
    absent = [name for name in names if name not in frame.columns]
    if absent:
        raise DataError(
            f"the table has no column {listed(absent)}; it has {listed(list(frame.columns), 12)}, "
            f"and the model reads {listed(names, 12)}."
        )
