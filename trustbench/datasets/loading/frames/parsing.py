"""Cuts a text into fields, all as text: pyarrow does; Python's own parser reads rare dialects."""

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv

from trustbench.datasets.loading.frames.dialects import TextDialect, named
from trustbench.errors import DataError

BLOCK = 2**24
CHUNK = 20_000


def parse(path: Path, text: bytes, dialect: TextDialect, columns: int, skip_lines: int) -> pa.Table:
    """Parses the rows of a text into a table of text columns, named by their position.

    `skip_lines` are the lines before the first row.

    Raises:
        DataError: a row has more or fewer fields than columns, or a quote is not closed.
    """
    if not dialect.plain:
        return _in_python(path, text, dialect, columns, skip_lines)
    bad: list[Any] = []

    def keep(row: Any) -> str:
        bad.append(row)
        return "skip"

    names = [str(k) for k in range(columns)]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            read_options=arrow_csv.ReadOptions(
                column_names=names, skip_rows=skip_lines, block_size=BLOCK
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=dialect.separator,
                quote_char=dialect.quote or False,
                escape_char=dialect.escape or False,
                newlines_in_values=dialect.quote is not None,
                invalid_row_handler=keep,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        diagnose(path, text, dialect, columns, skip_lines)
        raise DataError(
            f"{path} cannot be read as a table ({' '.join(str(error).split())}); check "
            "reading.separator, reading.quoting and reading.encoding."
        ) from error
    if bad or _may_have_open_quotes(text, dialect, table.num_rows, skip_lines):
        diagnose(path, text, dialect, columns, skip_lines)
    if bad:
        raise ragged(path, dialect, None, bad[0].actual_columns, columns)
    return table


def ragged(
    path: Path, dialect: TextDialect, line: int | None, fields: int, columns: int
) -> DataError:
    """The error for a row with another number of fields than there are columns."""
    where, s = f"line {line}" if line else "a line", "" if fields == 1 else "s"
    there = "is one column" if columns == 1 else f"are {columns} columns"
    return DataError(
        f"{where} of {path} has {fields} field{s}, where there {there} (separated by "
        f"{named(dialect.separator)}); correct it, put fields that hold the separator in quotes, "
        "or give another reading.separator."
    )


def diagnose(path: Path, text: bytes, dialect: TextDialect, columns: int, skip_lines: int) -> None:
    """Raises DataError with the line of the first fault that a strict reading finds, if any."""
    begins = 1
    try:
        for line, fields in dialect.records(_lines(text), strict=True):
            begins = line
            if len(fields) != columns and any(fields) and line > skip_lines:
                raise ragged(path, dialect, line, len(fields), columns)
    except csv.Error as error:
        raise DataError(
            f"{path} has a quote that is not closed, or not doubled within a field, after line "
            f"{begins} ({error}); correct it, or give reading.quoting=none to read quotes as "
            "plain characters."
        ) from error


def _may_have_open_quotes(text: bytes, dialect: TextDialect, rows: int, skipped: int) -> bool:
    """Whether fields hold line ends, which an open quote makes look like a field."""
    if dialect.quote is None or dialect.quote.encode() not in text:
        return False
    ends = text.count(b"\n") or text.count(b"\r")
    last = not text.endswith((b"\n", b"\r"))
    return rows != ends + last - skipped


def _lines(text: bytes) -> Iterator[str]:
    return io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", newline="")


def _in_python(
    path: Path, text: bytes, dialect: TextDialect, columns: int, skip_lines: int
) -> pa.Table:
    lines = itertools.islice(_lines(text), skip_lines, None)
    chunks, rows = [], []
    try:
        for line, fields in dialect.records(lines, strict=True):
            if len(fields) != columns:
                raise ragged(path, dialect, line + skip_lines, len(fields), columns)
            rows.append(fields)
            if len(rows) == CHUNK:
                chunks.append(_chunk(rows, columns))
                rows = []
    except csv.Error as error:
        diagnose(path, text, dialect, columns, skip_lines)
        raise DataError(f"{path} cannot be read as a table ({error}); correct it.") from error
    return pa.concat_tables([*chunks, _chunk(rows, columns)])


def _chunk(rows: Sequence[Sequence[str]], columns: int) -> pa.Table:
    fields = list(zip(*rows, strict=True)) if rows else [()] * columns
    return pa.table({str(k): pa.array(column, type=pa.string()) for k, column in enumerate(fields)})
