"""Which quotes a text has around fields, and whether a backslash stands before those within."""

import re
from collections.abc import Sequence

from trustbench.datasets.loading.frames.dialects import SEPARATORS, TextDialect, accepts

DOUBLE, SINGLE, BACKSLASH = '"', "'", "\\"


def quote_of(lines: Sequence[str]) -> tuple[str, str | None]:
    """(the quote of a text, why); double quotes unless most lines have fields in single ones."""
    if _wrapping(SINGLE, lines) > 0.5 and _wrapping(DOUBLE, lines) == 0:
        return SINGLE, "fields stand in single quotes"
    return DOUBLE, "double quotes, the usual" if any(DOUBLE in s for s in lines) else None


def escape_of(lines: Sequence[str], separator: str, quote: str) -> str | None:
    """The backslash if quotes within fields only make sense with one before them, or None."""
    text = "\n".join(lines)
    if BACKSLASH + quote not in text:
        return None
    if not accepts(TextDialect(separator, quote, BACKSLASH), lines):
        return None
    if not accepts(TextDialect(separator, quote), lines):
        return BACKSLASH
    if quote * 2 in text:  # doubled, and so not escaped
        return None
    inner = rf"(?<![\\{re.escape(separator)}\n]){quote}(?![{re.escape(separator)}\n]|$)"
    return None if re.search(inner, text[1:]) else BACKSLASH


def _wrapping(quote: str, lines: Sequence[str]) -> float:
    """The share of lines with a field that begins and ends with the quote."""
    found = 0
    for line in lines:
        pieces = [p.strip() for s in SEPARATORS for p in line.split(s)]
        found += any(len(p) > 1 and p[0] == p[-1] == quote for p in pieces)
    return found / len(lines)
