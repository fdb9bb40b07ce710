"""Reads a text table: encoding, dialect and header are decided here, then all fields are cut."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from trustbench.datasets.loading.frames.dialects import SEPARATORS, SPACES
from trustbench.datasets.loading.frames.encodings import decode
from trustbench.datasets.loading.frames.headers import header_of
from trustbench.datasets.loading.frames.parsing import parse
from trustbench.datasets.loading.frames.reading import NONE, Reading
from trustbench.datasets.loading.frames.separators import SAMPLE_LINES, choose
from trustbench.errors import DataError

WIDEST = 20_000
HEADER_ROWS = 200
"""Rows on which the first line is compared with those below it."""


@dataclass(frozen=True)
class CutText:
    """The fields of a text file, all as text, with the form that was found, and why."""

    columns: list[pa.ChunkedArray]
    names: tuple[str, ...]
    unnamed: frozenset[str]
    form: Reading
    why: dict[str, str]


def read_text(path: Path, raw: bytes, declared: Reading) -> CutText:
    """Reads the fields of a text file.

    Raises:
        DataError: its form is unclear, or it is not a table; the sentence says what to do.
    """
    text, encoding, why_encoding = decode(path, raw, declared.encoding)
    lines, skipped, announced = _beginning(text)
    if not any(line.strip() for line in lines):
        raise DataError(f"{path} is empty; give a file with a header and rows.")
    _refuse_wide(path, lines)
    dialect, dialect_why = choose(path, lines, declared, announced)
    cut = dialect.records(iter(f"{line}\n" for line in lines))
    records = list(itertools.islice(cut, HEADER_ROWS))
    header = header_of(path, [fields for _, fields in records], declared)
    first = skipped
    if header.present:
        first += records[1][0] - 1 if len(records) > 1 else len(lines)
    if header.present and len(records) < 2:
        raise DataError(f"{path} holds a header and no rows; give a file with rows.")
    fields = parse(path, text, dialect, len(header.names), first)
    form = Reading(
        separator=dialect.separator,
        quoting=dialect.quote or NONE,
        escape=dialect.escape or NONE,
        encoding=encoding,
        header=header.present,
        names=declared.names,
    )
    why = {"encoding": f"{encoding}: {why_encoding}", **dialect_why, **header.why}
    return CutText(fields.columns, header.names, header.unnamed, form, why)


def _refuse_wide(path: Path, lines: Sequence[str]) -> None:
    """Raises DataError for a line with more fields than a table has columns."""
    for line in lines:
        fields = 1 + max(line.count(s) for s in SEPARATORS if s != SPACES)
        if fields > WIDEST and '"' not in line:  # a text in quotes may hold any signs
            raise DataError(
                f"{path} has a line of {fields:,} fields, and a table has at most {WIDEST:,} "
                "columns; leave out columns, or check that the file has line ends."
            )


def _beginning(text: bytes) -> tuple[list[str], int, str | None]:
    """(first lines, lines before them, separator that Excel's `sep=` line announces)."""
    lines = list(itertools.islice(_lines(text), SAMPLE_LINES))
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].strip("\r\n")) == 5:
        return lines[1:], 1, lines[0][4]
    return lines, 0, None


def _lines(text: bytes) -> Iterator[str]:
    """The lines of a text, decoded, without their ends."""
    start = 0
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        yield from text[start:end].decode().rstrip("\r").split("\r")
        start = end + 1
