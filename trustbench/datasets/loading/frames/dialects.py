"""How the lines of a text are cut into fields: separator, quote and escape, and why."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trustbench.datasets.loading.frames.reading import NONE, Reading
from trustbench.errors import DataError

SPACES = " "
"""The separator of a file whose fields are separated by any white space."""

SEPARATORS = {"\t": "tab", ";": "semicolon", "|": "vertical bar", ",": "comma", SPACES: "spaces"}
SAMPLE_LINES = 1000
csv.field_size_limit(2**24)


@dataclass(frozen=True)
class TextDialect:
    """The signs of a text table; `quote` and `escape` are None if there are none.

    `spaced` says that spaces may stand between a separator and the quote of the next field.
    """

    separator: str
    quote: str | None = '"'
    escape: str | None = None
    spaced: bool = False

    @property
    def plain(self) -> bool:
        """Whether pyarrow's parser knows the dialect; Python's own reads the others."""
        return not self.spaced and self.separator != SPACES

    def records(
        self, lines: Iterator[str], strict: bool = False
    ) -> Iterator[tuple[int, list[str]]]:
        """(line on which it begins, fields) of every record that is not blank."""
        if self.separator == SPACES:
            lines = (line.strip().replace("\t", " ") for line in lines)
        reader = csv.reader(
            lines,
            delimiter=self.separator,
            quotechar=self.quote,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            escapechar=self.escape,
            skipinitialspace=not self.plain,
            strict=strict,
        )
        begins = 1
        for fields in reader:
            if fields:
                yield begins, fields
            begins = reader.line_num + 1


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
    quote, escape, why = _quoting(path, lines, declared)
    separator = _declared_sign(path, "separator", declared.separator) or announced
    if separator is None:
        separator, why["separator"] = _separator(path, lines, quote, escape)
    else:
        separator = SPACES if not separator.strip(" ") else separator
        said = "as declared" if declared.separator else "its first line says sep="
        why["separator"] = f"{named(separator)} ({said})"
    spaced = quote is not None and any(f"{separator} {quote}" in line for line in lines)
    return Choice(TextDialect(separator, quote, escape, spaced), why)


def named(separator: str) -> str:
    """A separator in words.

    >>> named(";"), named("~")
    ('semicolon', "'~'")
    """
    return SEPARATORS.get(separator, repr(separator))


def _quoting(
    path: Path, lines: Sequence[str], declared: Reading
) -> tuple[str | None, str | None, dict[str, str]]:
    """(quote, escape, why)."""
    text, why = "\n".join(lines), {}
    quote = _declared_sign(path, "quoting", declared.quoting)
    if quote is None:
        single = _wrapping("'", lines) > 0.5 and _wrapping('"', lines) == 0
        quote = "'" if single else '"'
        if single:
            why["quoting"] = "fields stand in single quotes"
        elif '"' in text:
            why["quoting"] = "double quotes, the usual"
    else:
        why["quoting"] = "as declared"
    quote = None if quote == NONE else quote
    escape = _declared_sign(path, "escape", declared.escape)
    if escape is None and quote and f"\\{quote}" in text and quote * 2 not in text:
        escape = "\\"
        why["escape"] = f"quotes within fields are written \\{quote}"
    return quote, None if escape == NONE else escape, why


def _declared_sign(path: Path, name: str, sign: str | None) -> str | None:
    sign = {"tab": "\t", "\\t": "\t", "spaces": SPACES, "\\s+": SPACES}.get(sign or "", sign)
    none = name != "separator" and sign == NONE
    if sign is not None and not none and (len(sign) != 1 or sign in "\r\n"):
        raise DataError(
            f"reading.{name}={sign!r} for {path} is not one character; give one, such as "
            + ("';', 'tab' or 'spaces'." if name == "separator" else f"'\"', or {NONE}.")
        )
    return sign


def _wrapping(quote: str, lines: Sequence[str]) -> float:
    """The share of lines with a field that begins and ends with the quote."""
    found = 0
    for line in lines:
        pieces = [p.strip() for s in SEPARATORS for p in line.split(s)]
        found += any(len(p) > 1 and p[0] == p[-1] == quote for p in pieces)
    return found / len(lines)


class _Cut(NamedTuple):
    """The sample cut by one separator."""

    separator: str
    widths: Counter[int]
    clean: float

    @property
    def even(self) -> bool:
        """Every record has the same number of fields; a header may have one fewer (R)."""
        return len(self.widths) == 1 and max(self.widths) > 1

    @property
    def share(self) -> float:
        """The share of records with the most frequent number of fields, if it is above one."""
        width, n = self.widths.most_common(1)[0]
        return n / self.widths.total() if width > 1 else 0.0


def _separator(
    path: Path, lines: Sequence[str], quote: str | None, escape: str | None
) -> tuple[str, str]:
    """(separator, why): the one that gives every line the same number of fields."""
    cuts = [_cut(lines, TextDialect(s, quote, escape, s != SPACES)) for s in SEPARATORS]
    even = [c for c in cuts if c.even and c.separator != SPACES] or [c for c in cuts if c.even]
    if even:
        best = max(even, key=lambda c: c.clean)
        rivals = [c for c in even if c.clean == best.clean]
        if len(rivals) > 1:
            raise DataError(
                f"{path} can be separated by {' or '.join(named(c.separator) for c in rivals)}; "
                "say which with reading.separator."
            )
        width = max(best.widths)
        return best.separator, f"{named(best.separator)}: it gives each line {width} fields"
    best = max(cuts, key=lambda c: c.share)
    if best.share > 0:
        width, n = best.widths.most_common(1)[0]
        why = f"{named(best.separator)}: it gives {n} of {best.widths.total()} lines {width} fields"
        return best.separator, why
    return ",", "one column: no separator gives two or more"


def _cut(lines: Sequence[str], dialect: TextDialect) -> _Cut:
    records = [fields for _, fields in dialect.records(iter(f"{line}\n" for line in lines))]
    if len(lines) >= SAMPLE_LINES:
        records.pop()  # the sample may end within a quoted field
    widths = Counter(map(len, records))
    if len(records) > 1 and len(widths) == 2 and min(widths) == max(widths) - 1:
        first, *rest = map(len, records)
        if first == min(widths) and set(rest) == {max(widths)}:  # R leaves out the rows' name
            widths = Counter({max(widths): len(records)})
    others = [s for s in SEPARATORS if s not in (dialect.separator, SPACES)]
    fields = [f for record in records for f in record]
    dirty = sum(any(s in f.strip(" ") for s in others if not _number_like(f)) for f in fields)
    return _Cut(dialect.separator, widths or Counter({0: 1}), 1 - dirty / max(len(fields), 1))


def _number_like(field: str) -> bool:
    return field.strip().strip("-+").replace(",", "").replace(".", "").isdigit()
