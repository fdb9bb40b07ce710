"""Chooses the dialect of a text from its first lines, and says why."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trustbench.datasets.loading.frames.dialects import SEPARATORS, SPACES, TextDialect, named
from trustbench.datasets.loading.frames.quotes import escape_of, quote_of
from trustbench.datasets.loading.frames.reading import NONE, Reading
from trustbench.errors import DataError

SAMPLE_LINES, CLEAN_ROWS = 1000, 100
NAMES = {"tab": "\t", "\\t": "\t", "spaces": SPACES, "\\s+": SPACES, NONE: ""}


class Choice(NamedTuple):
    """A dialect, and why each of its parts was chosen."""

    dialect: TextDialect
    why: dict[str, str]


def choose(path: Path, lines: Sequence[str], declared: Reading, announced: str | None) -> Choice:
    """Chooses the dialect of a file from its first lines.

    `announced` is the separator that the file itself names (`sep=;`).

    Raises:
        DataError: two separators fit equally well, or a declared sign cannot be one.
    """
    quote, reason = _sign(path, "quoting", declared.quoting), "as declared"
    if quote is None:
        quote, found = quote_of(lines)
        reason = found or ""
    escape = _sign(path, "escape", declared.escape)
    why = {"quoting": reason} if reason else {}
    separator = _sign(path, "separator", declared.separator) or announced
    if separator:
        by = "as declared" if declared.separator else "its first line says sep="
        dialect, why["separator"] = _dialect(lines, separator, quote, escape), by
        why["separator"] = f"{named(separator)}: {by}"
    else:
        dialect, why["separator"] = _sniffed(path, lines, quote, escape)
    if dialect.escape and escape is None:
        why["escape"] = f"quotes within fields are written \\{quote}"
    return Choice(dialect, why)


def _sign(path: Path, name: str, sign: str | None) -> str | None:
    """A declared sign: None if it is to be sniffed, '' if there is none."""
    if sign is None or (sign == NONE and name != "separator"):
        return sign and ""
    found = NAMES.get(sign, sign)
    if len(found) != 1 or found in "\r\n":
        raise DataError(
            f"reading.{name}={sign!r} for {path} is not one character; give one, such as "
            + ("';', 'tab' or 'spaces'." if name == "separator" else f"'\"', or {NONE}.")
        )
    return found


def _dialect(lines: Sequence[str], separator: str, quote: str, escape: str | None) -> TextDialect:
    """The dialect with a separator; `escape` None means sniffed, and '' none, as of `quote`."""
    if escape is None and quote:
        escape = escape_of(lines, separator, quote)
    spaced = bool(quote) and any(f"{separator} {quote}" in line for line in lines)
    return TextDialect(separator, quote or None, escape or None, spaced)


def _sniffed(
    path: Path, lines: Sequence[str], quote: str, escape: str | None
) -> tuple[TextDialect, str]:
    """(dialect, why its separator): the one that gives every line the same number of fields."""
    cuts = [_cut(lines, _dialect(lines, s, quote, escape)) for s in SEPARATORS]
    even = [c for c in cuts if c.even and c.name != SPACES] or [c for c in cuts if c.even]
    even = [c for c in even if c.whole] or even
    if even:
        best = max(even, key=lambda c: c.clean)
        rivals = [named(c.name) for c in even if c.clean == best.clean]
        if len(rivals) > 1:
            raise DataError(
                f"{path} can be separated by {' or '.join(rivals)}; say which with "
                "reading.separator."
            )
        return best.dialect, f"{named(best.name)}: it gives each line {max(best.widths)} fields"
    best = max(cuts, key=lambda c: c.share)
    if best.share > 0:
        width, n = best.widths.most_common(1)[0]
        many = f"{n} of {best.widths.total()} lines"
        return best.dialect, f"{named(best.name)}: it gives {many} {width} fields"
    return _dialect(lines, ",", quote, escape), "one column: no separator gives two or more"


class _Cut(NamedTuple):
    """The sample cut in a dialect: how many records have which width, and the clean fields."""

    dialect: TextDialect
    widths: Counter[int]
    clean: float
    whole: bool  # the header is as wide as the other records

    @property
    def name(self) -> str:
        """The separator."""
        return self.dialect.separator

    @property
    def even(self) -> bool:
        """Every record has the same number of fields, two or more."""
        return len(self.widths) == 1 and max(self.widths) > 1

    @property
    def share(self) -> float:
        """The share of records with the most frequent number of fields, if it is above one."""
        width, n = self.widths.most_common(1)[0]
        return n / self.widths.total() if width > 1 else 0.0


def _cut(lines: Sequence[str], dialect: TextDialect) -> _Cut:
    records = [fields for _, fields in dialect.records(iter(f"{line}\n" for line in lines))]
    if len(lines) >= SAMPLE_LINES:
        records.pop()  # the sample may end within a quoted field
    widths = Counter(map(len, records)) or Counter({0: 1})
    first, *rest = map(len, records)
    if set(rest) == {first + 1}:  # R leaves out the name of the rows' names
        widths = Counter(rest)
    others = [s for s in SEPARATORS if s not in (dialect.separator, SPACES)]
    fields = [f.strip() for record in records[:CLEAN_ROWS] for f in record]
    if dialect.separator == SPACES and not any(map(_number_like, fields)):
        widths = Counter({1: len(records)})  # words of a text, not fields
    dirty = sum(any(s in f for s in others) and not _number_like(f) for f in fields)
    return _Cut(dialect, widths, 1 - dirty / max(len(fields), 1), {first} >= set(rest))


def _number_like(field: str) -> bool:
    return field.strip("-+").replace(",", "").replace(".", "").isdigit()
