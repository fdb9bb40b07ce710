"""The type of a text column, decided on every one of its fields, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from trustbench.contracts import Array
from trustbench.datasets.loading.frames.dates import dates, parsed
from trustbench.datasets.loading.frames.numbers import (
    SIGNED,
    NumberSigns,
    code_among,
    numbers,
)
from trustbench.datasets.loading.frames.pairs import (
    MISSING_NUMBERS,
    boolean_pair,
    coded,
    sniffed_missing,
    truth,
)
from trustbench.datasets.loading.frames.reading import Reading, Type
from trustbench.datasets.loading.frames.words import Words
from trustbench.errors import DataError

NINES = (-9, -99, -999, -9999, -99999)
MOSTLY = 0.9
"""Share of rows with numbers from which a few other words are a doubt instead of levels."""


@dataclass(frozen=True)
class Typed:
    """The values [n] of a column, its type and how that was decided."""

    values: Any
    type: Type
    why: str = ""
    doubt: str = ""
    missing: tuple[str, ...] = ()
    form: str | None = None
    pair: tuple[str, str] | None = None

    @property
    def dtype(self) -> Any:
        """The dtype of the values: text stays object in every version of pandas."""
        return object if self.type == "text" else self.values.dtype


@dataclass(frozen=True)
class TextColumn:
    """A column of text: its words without the declared missing codes, and the declaration."""

    name: str
    words: Words
    declared: Reading
    coded: tuple[str, ...] = ()
    numeric: bool = True  # whether text of digits may be a number: not where a file has types

    @classmethod
    def of(cls, name: str, words: Words, declared: Reading, numeric: bool = True) -> "TextColumn":
        """The column with its declared missing codes removed."""
        codes = declared.codes(name)
        if codes is None:
            return cls(name, words, declared, (), numeric)
        found = coded(words, codes)
        return cls(name, words.without(found), declared, words.chosen(found), numeric)

    @property
    def type(self) -> Type | None:
        """The declared type, if any."""
        return self.declared.declared_type(self.name)

    @cached_property
    def given(self) -> tuple[Words, tuple[str, ...]]:
        """(words, missing codes) where fields that mean missing among numbers are missing."""
        if self.declared.codes(self.name) is not None:
            return self.words, self.coded
        found = self.words.among(MISSING_NUMBERS)
        return self.words.without(found), self.words.chosen(found)


def typed(column: TextColumn, signs: NumberSigns) -> Typed:
    """Gives a text column its type.

    Raises:
        DataError: a field does not fit the declared type.
    """
    declared = column.type
    if declared == "text":
        return _text(column, "as declared")
    if declared is not None:
        return {"number": _number, "date": _date, "boolean": _boolean}[declared](column, signs)
    return _sniffed(column, signs)


def _sniffed(column: TextColumn, signs: NumberSigns) -> Typed:
    words, missing = column.given
    if not len(words.words):
        return _text(column, "no field has a value" if not missing else "")
    pair = boolean_pair(words)
    if pair is not None:
        why = f"{pair[0]!r} is false and {pair[1]!r} is true"
        return Typed(_truth_for_rows(words, pair), "boolean", why, missing=missing, pair=pair)
    values = number_values(words, signs)
    if not np.isnan(values).any():
        return _sniffed_number(column, words, values, missing)
    found = dates(words)
    if found is not None and found.doubt is None:
        why = f"dates of the form {found.format}"
        return Typed(for_rows(words, found.values), "date", why, missing=missing, form=found.format)
    doubt = _doubt(column, words, values, found.doubt if found else None)
    return _text(column, doubt=doubt)


def _sniffed_number(
    column: TextColumn, words: Words, values: Array, missing: tuple[str, ...]
) -> Typed:
    if not column.numeric:
        return _text(column, "text in the file, though every field is a number")
    code = code_among(words)
    if code:
        return _text(column, code)
    if len(values) == 2 and sorted(values) == [0.0, 1.0]:
        pair = tuple(words.words.take(np.argsort(values)).to_pylist())
        return Typed(
            _truth_for_rows(words, pair),
            "boolean",
            "0 is false and 1 is true",
            "",
            missing,
            None,
            pair,
        )
    return Typed(for_rows(words, values), "number", _looks_coded(words, values), missing=missing)


def number_values(words: Words, signs: NumberSigns) -> Array:
    """The words as numbers in the file's signs, NaN where one is not."""
    plain = words.numbers
    if plain is not None and (signs.decimal == "." or not words.matching("[.]").any()):
        return plain
    return numbers(words, signs)


def for_rows(words: Words, values: Array) -> Array:
    """The values [words] for each row; NaN or NaT where a row has none."""
    missing = np.array([np.datetime64("NaT") if values.dtype.kind == "M" else np.nan])
    return np.append(values, missing.astype(values.dtype))[words.word_of_row]


def _doubt(column: TextColumn, words: Words, values: Array, dated: str | None) -> str:
    """The sentence for a column that is almost of one type; '' if it is plainly text."""
    name = column.name
    if dated is not None:
        form = "%m/%d/%Y" if "exchanged" in dated else "%d.%m.%y"
        return (
            f"column {name} holds dates, but {dated}; give their format, for example "
            f"reading.dates={{{name}: '{form}'}}, correct them, or read the column as text with "
            f"reading.types={{{name}: text}}."
        )
    is_number = ~np.isnan(values)
    share = words.counts[is_number].sum() / words.counts.sum()
    if column.numeric and is_number.sum() > 4 and share >= MOSTLY and not code_among(words):
        return (
            f"column {name} holds numbers in {share:.1%} of its rows, but also "
            f"{words.described(~is_number)}; name those that mean missing with "
            f"reading.missing={{{name}: [...]}}, correct them, or read the column as text with "
            f"reading.types={{{name}: text}}."
        )
    if words.matching(SIGNED).all() and words.matching("[$€£¥%]|[A-Z]{3}").any():
        return (
            f"column {name} holds numbers with a unit, such as {words.first(~is_number)}; remove "
            f"the unit, or read the column as text with reading.types={{{name}: text}}."
        )
    return ""


def _looks_coded(words: Words, values: Array) -> str:
    """A remark on a number that often means missing: a lone negative of nines."""
    negative = values < 0
    if negative.any() and np.ptp(values[negative]) == 0 and values[negative][0] in NINES:
        return (
            f"{words.described(negative)} is the only negative number, and may mean missing; if "
            "so, name it in reading.missing"
        )
    return ""


def _number(column: TextColumn, signs: NumberSigns) -> Typed:
    words, missing = column.given
    values = number_values(words, signs)
    _refuse(column, words, np.isnan(values), "not a number")
    return Typed(for_rows(words, values), "number", missing=missing)


def _date(column: TextColumn, _: NumberSigns) -> Typed:
    words, missing = column.given
    form = column.declared.dates.get(column.name)
    if form is None:
        found = dates(words)
        if found is None or found.doubt is not None:
            raise DataError(
                f"column {column.name} is declared as a date, but its format is unclear; give it "
                f"with reading.dates={{{column.name}: '%d.%m.%Y'}}."
            )
        form = found.format
    try:
        values = parsed(words, form)
    except ValueError as error:
        raise DataError(
            f"reading.dates gives column {column.name} the format {form!r} ({error}); give one "
            "such as %d.%m.%Y."
        ) from error
    _refuse(column, words, np.isnat(values), f"not a date of the form {form}")
    return Typed(for_rows(words, values), "date", f"dates of the form {form}", "", missing, form)


def _boolean(column: TextColumn, _: NumberSigns) -> Typed:
    words, missing = column.given
    pair = column.declared.booleans.get(column.name) or boolean_pair(words)
    if pair is None:
        raise DataError(
            f"column {column.name} is declared as boolean, but holds "
            f"{words.described(np.ones(len(words.words), dtype=bool))}; name the fields for false "
            f"and true with reading.booleans={{{column.name}: [no, yes]}}."
        )
    bad = np.isnan(truth(words, pair))
    _refuse(column, words, bad, f"neither {pair[0]!r} nor {pair[1]!r}")
    return Typed(_truth_for_rows(words, pair), "boolean", "", "", missing, None, pair)


def _refuse(column: TextColumn, words: Words, bad: Array, what: str) -> None:
    if bad.any():
        raise DataError(
            f"column {column.name} holds {words.described(bad)}, {what}; correct the file, name "
            "what means missing in reading.missing, or declare another reading.types."
        )


def _text(column: TextColumn, why: str = "", doubt: str = "") -> Typed:
    words, missing = column.words, column.coded
    if column.declared.codes(column.name) is None:
        found, kept = sniffed_missing(words)
        missing = words.chosen(found)
        why = "; ".join(filter(None, (why, kept)))
        words = words.without(found)
    levels = np.array(words.words.to_pylist(), dtype=object)
    return Typed(for_rows(words, levels), "text", why, doubt, missing)


def booleans(values: Array) -> Any:
    """Ones and zeros as bool, or as pandas' `boolean` if some are NaN."""
    true, unknown = values == 1, np.isnan(values)
    return pd.arrays.BooleanArray(true, unknown) if unknown.any() else true


def _truth_for_rows(words: Words, pair: Sequence[str]) -> Any:
    return booleans(for_rows(words, truth(words, (pair[0], pair[1]))))
