"""Booleans in text, and the fields that mean missing."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trustbench.contracts import Array
from trustbench.datasets.loading.frames.numbers import PLAIN
from trustbench.datasets.loading.frames.reading import Code
from trustbench.datasets.loading.frames.words import Words

PAIRS: Mapping[str, str] = {
    "false": "true", "no": "yes", "off": "on", "nein": "ja", "falsch": "wahr", "non": "oui",
    "faux": "vrai", "nee": "ja", "0": "1",
}  # fmt: skip
LETTERS = (("n", "y"), ("n", "j"), ("f", "t"), ("n", "o"), ("no", "si"), ("no", "sí"))
ALL_PAIRS = (*PAIRS.items(), *LETTERS)

MISSING_NUMBERS = frozenset(
    {"na", "n/a", "#n/a", "nan", "null", "none", "nil", "?", "-", "--", ".", "<na>", "#null!",
     "#value!", "#div/0!", "#num!", "#ref!", "missing", "n.a.", "k.a."}
)  # fmt: skip
"""Fields that mean missing among numbers, dates and booleans, in lower case."""
MISSING_TEXT = frozenset({"na", "n/a", "#n/a", "nan", "null", "?", "<na>", "#null!"})
"""Fields that mean missing among words, in lower case."""
UNCLEAR_TEXT = frozenset({"none", "-", "--", ".", "missing", "unknown", "n.a.", "k.a."})
"""Fields that may mean missing or be a level: they are kept, and reported."""


def boolean_pair(words: Words) -> tuple[str, str] | None:
    """The fields for (false, true) if the column holds two that form a known pair."""
    if not 2 <= len(words.words) <= 6:
        return None
    found = {w.lower() for w in words.words.to_pylist()}
    return next(((a, b) for a, b in ALL_PAIRS if found == {a, b}), None)


def truth(words: Words, pair: tuple[str, str]) -> Array:
    """1 for the true field, 0 for the false one, NaN for another: float64 [words]."""
    lower = pc.utf8_lower(words.words).to_pylist()
    value = {pair[0].lower(): 0.0, pair[1].lower(): 1.0}
    return np.array([value.get(word, np.nan) for word in lower], dtype=np.float64)


def coded(words: Words, codes: Sequence[Code]) -> Array:
    """Which words are one of the declared codes: bool [words]; a number in any spelling."""
    found = words.equal_to([c.strip() for c in codes if isinstance(c, str)])
    numbers = [float(c) for c in codes if not isinstance(c, str)]
    if numbers:
        plain = words.matching(PLAIN.pattern())
        values = np.full(len(plain), np.nan)
        values[plain] = pc.cast(words.words.filter(pa.array(plain)), pa.float64())
        found |= np.isin(values, numbers)
    return found


def sniffed_missing(words: Words) -> tuple[Array, str | None]:
    """(which words of a text column mean missing, why one that looks so is kept)."""
    found = words.among(MISSING_TEXT)
    na = words.matching("^NA$")
    others = words.chosen(~found)
    if na.any() and len(others) >= 5 and all(len(w) == 2 and w.isupper() for w in others):
        why = f"the column holds codes of two letters such as {others[0]!r}"
        return found & ~na, f"'NA' is kept as a level, as {why}"
    unclear = words.among(UNCLEAR_TEXT)
    if unclear.any():
        return found, f"{words.described(unclear)} is kept as a level; if it means missing, say so"
    return found, None
