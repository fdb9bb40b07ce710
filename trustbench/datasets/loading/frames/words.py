"""The distinct fields of a column: a decision about a million rows looks at each of them once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trustbench.contracts import Array
from trustbench.contracts.shortening import listed

LONG, SHOWN = 10_000, 3


@dataclass(frozen=True)
class Words:
    """The distinct fields of a column, without spaces around them, and which row holds which.

    `word_of_row` [n] is the position of each row's word; -1 where the row has none. Long columns
    whose fields nearly all differ keep every field, since finding the few equal ones would take
    longer than looking at them twice.
    """

    words: pa.Array
    word_of_row: Array

    @cached_property
    def counts(self) -> Array:
        """The number of rows of each word, int64 [words]."""
        return np.bincount(self.word_of_row[self.word_of_row >= 0], minlength=len(self.words))

    @cached_property
    def numbers(self) -> Array | None:
        """The words as float64 [words] if all are numbers with a decimal point, or None."""
        try:
            values = pc.cast(self.words, pa.float64())
        except pa.ArrowInvalid:
            return None
        out = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
        return out if np.isfinite(out).all() else None

    def without(self, missing: Array) -> "Words":
        """The column with the words of a mask [words] as missing."""
        if not missing.any():
            return self
        place = np.where(missing, -1, np.cumsum(~missing) - 1).astype(np.int32)
        word_of_row = np.where(self.word_of_row < 0, np.int32(-1), place[self.word_of_row])
        return Words(self.words.filter(pa.array(~missing)), word_of_row)

    def chosen(self, mask: Array) -> tuple[str, ...]:
        """The distinct words of a mask [words]."""
        return tuple(pc.unique(self.words.filter(pa.array(mask))).to_pylist())

    def select_rows(self, rows: Array) -> "Words":
        """The column in the rows of a mask [n]; words that no row has any more are kept."""
        return Words(self.words, self.word_of_row[rows])

    def equals(self, other: "Words") -> bool:
        """Whether both columns hold the same in every row."""
        return self.words.equals(other.words) and np.array_equal(
            self.word_of_row, other.word_of_row
        )

    def matching(self, pattern: str) -> Array:
        """Which words match a regular expression, bool [words]."""
        if not len(self.words):
            return np.zeros(0, dtype=bool)
        found = pc.match_substring_regex(self.words, pattern)
        return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)

    def among(self, known: Sequence[str] | frozenset[str]) -> Array:
        """Which words are among `known`, given in lower case, in any usual case: bool [words]."""
        cased = [c for word in known for c in (word, word.upper(), word.title(), _camel(word))]
        return self.equal_to(cased)

    def equal_to(self, known: Sequence[str]) -> Array:
        """Which words are among `known`, letter by letter: bool [words]."""
        found = pc.is_in(self.words, value_set=pa.array(known, self.words.type))
        return np.array(found.to_numpy(zero_copy_only=False), dtype=bool)

    def described(self, mask: Array) -> str:
        """The words of a mask [words], each with its number of rows and the first of them.

        Rows count from 1, without the header.
        """
        words = self.chosen(mask)
        described = [self._described(word) for word in words[:SHOWN]]
        return listed([*described, *words[SHOWN:]], SHOWN)

    def first(self, mask: Array) -> str:
        """The first word of a mask [words], quoted and shortened."""
        return _shown(self.words[int(np.flatnonzero(mask)[0])].as_py())

    def _described(self, word: str) -> str:
        places = np.flatnonzero(pc.equal(self.words, word).to_numpy(zero_copy_only=False))
        rows = np.flatnonzero(np.isin(self.word_of_row, places)) + 1
        where = f"row {rows[0]:,}"
        if len(rows) > 1:
            where = f"{len(rows):,} rows, first in {where}"
        return f"{_shown(word)} ({where})"


def words_of(column: pa.ChunkedArray) -> Words:
    """The words of a text column; empty fields become missing."""
    if len(column) > LONG and len(pc.unique(column.slice(0, LONG))) > 0.8 * LONG:
        every = np.arange(len(column), dtype=np.int32)
        words = Words(pc.utf8_trim_whitespace(column.combine_chunks()).fill_null(""), every)
    else:
        words = _distinct(column)
    return words.without(words.among([""]))


def _distinct(column: pa.ChunkedArray) -> Words:
    encoded = pc.dictionary_encode(column.combine_chunks())
    word_of_row = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    trimmed = pc.utf8_trim_whitespace(encoded.dictionary)
    if not trimmed.equals(encoded.dictionary):
        again = pc.dictionary_encode(trimmed)
        place = again.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        word_of_row = (
            np.where(word_of_row < 0, np.int32(-1), place[word_of_row])
            if len(place)
            else word_of_row
        )
        trimmed = again.dictionary
    return Words(trimmed, word_of_row)


def filled_rows(columns: Sequence[Words]) -> Array:
    """Which rows have a value in any column, bool [n]."""
    filled = columns[0].word_of_row >= 0
    for words in columns[1:]:
        if filled.all():
            break
        filled |= words.word_of_row >= 0
    return filled


def _camel(word: str) -> str:
    """A word with a capital at both ends, as NaN has."""
    return word[:1].upper() + word[1:-1] + word[-1:].upper()


def _shown(word: str) -> str:
    return repr(word if len(word) <= 40 else f"{word[:40]}...")
