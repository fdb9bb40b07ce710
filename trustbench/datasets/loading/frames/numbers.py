"""Numbers in text: with which signs they are written, and which digits are a code instead."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trustbench.contracts import Array
from trustbench.datasets.loading.frames.reading import NONE
from trustbench.datasets.loading.frames.words import Words

SPACES, APOSTROPHES = " \u00a0\u202f\u2009", "'\u2019"
LOOSE = rf"^[+-]?[\d.,][\d.,{APOSTROPHES}{SPACES}]*([eE][+-]?\d+)?$"
"""Digits and the signs between them, in any order."""
CODES: Sequence[tuple[str, str]] = (
    (r"^[+-]?0\d", "{} has a leading zero, as codes have"),
    (r"^[+-]?\d{16}", "{} has more digits than a number keeps, as ids have"),
    (r"^\+\d{7}", "{} reads as a telephone number"),
)
"""Digits that are a code: their pattern, and why."""
BARE_POWER, OTHER_NUMBER = r"^\d+[eE]\d+$", r"[.]|[eE][+-]"
SUSPECT = "|".join((*(pattern for pattern, _ in CODES), BARE_POWER))
SIGNED = rf"^([$€£¥]|[A-Z]{{3}})?\s*[+-]?[\d.,'{SPACES}]*\d\s*([$€£¥%]|[A-Z]{{3}})?$"
SAMPLE = 20_000


class NumberSigns(NamedTuple):
    """The decimal sign and the sign between groups of three digits ("none": there is none)."""

    decimal: str
    thousands: str

    @property
    def group(self) -> str:
        """Every character that is the sign between groups of digits."""
        return {" ": SPACES, "'": APOSTROPHES}.get(self.thousands, self.thousands)

    def pattern(self) -> str:
        """The regular expression of a number that is written so."""
        point = rf"([{self.decimal}]\d*)?"
        power = r"([eE][+-]?\d+)?"
        whole = r"\d+"
        if self.thousands != NONE:
            whole = rf"(\d+|[1-9]\d{{0,2}}([{self.group}]\d{{3}})+)"
        return rf"^[+-]?({whole}{point}|[{self.decimal}]\d+){power}$"

    def described(self) -> str:
        """The signs in words."""
        group = "" if self.thousands == NONE else f", thousands {self.thousands!r}"
        return f"decimal {self.decimal!r}{group}"


PLAIN = NumberSigns(".", NONE)
SIGNS = (
    PLAIN,
    *(NumberSigns(".", t) for t in (",", "'", " ")),
    NumberSigns(",", NONE),
    *(NumberSigns(",", t) for t in (".", " ", "'")),
)
"""In order of preference: a point is a decimal point unless that does not fit."""


def fitting(words: Words, candidates: Sequence[NumberSigns] = SIGNS) -> list[NumberSigns]:
    """The signs with which every word is a number; looks at up to 20,000 words."""
    step = -(-len(words.words) // SAMPLE) or 1
    sample = Words(_ascii_minus(words.words[::step]), words.word_of_row)
    if not len(sample.words) or not sample.matching(LOOSE).all():
        return []
    return [signs for signs in candidates if sample.matching(signs.pattern()).all()]


def numbers(words: Words, signs: NumberSigns) -> Array:
    """The words as float64 [words] where they are numbers with these signs; NaN elsewhere."""
    written = _ascii_minus(words.words)
    fits = Words(written, words.word_of_row).matching(signs.pattern())
    if signs.thousands != NONE:
        written = pc.replace_substring_regex(written, f"[{signs.group}]", "")
    if signs.decimal != ".":
        written = pc.replace_substring(written, signs.decimal, ".")
    written = pc.if_else(pa.array(fits), written, pa.scalar(None, written.type))
    values = pc.cast(written, pa.float64())
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def code_among(words: Words) -> str | None:
    """Why digits are a code and not a number; None if nothing says so."""
    if not words.matching(SUSPECT).any():
        return None
    for pattern, why in CODES:
        found = words.matching(pattern)
        if found.any():
            return why.format(words.first(found))
    powers = words.matching(BARE_POWER)
    if powers.any() and not words.matching(OTHER_NUMBER).any():
        return f"{words.first(powers)} may be a code or a power of ten"
    return None


def _ascii_minus(words: pa.Array) -> pa.Array:
    return pc.replace_substring(words, "\u2212", "-")
