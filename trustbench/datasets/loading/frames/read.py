"""`read_frame`: any table from a file as a typed DataFrame, and what was understood of it."""

import gzip
import zlib
from pathlib import Path

import pandas as pd
import pyarrow as pa

from trustbench.contracts.unpacking import largest_unpacked, too_large
from trustbench.datasets.loading.frames.arrow_columns import typed_arrow
from trustbench.datasets.loading.frames.arrow_files import (
    PANDAS_INDEX,
    from_pandas,
    read_arrow,
    unnest,
)
from trustbench.datasets.loading.frames.assembly import (
    assemble,
    distinct,
    index_of,
    refuse_unknown_columns,
)
from trustbench.datasets.loading.frames.formats import format_of, refuse_markup
from trustbench.datasets.loading.frames.headers import complete, tidy
from trustbench.datasets.loading.frames.reading import Frame, Reading
from trustbench.datasets.loading.frames.signs import signs_of
from trustbench.datasets.loading.frames.text_files import CutText, read_text
from trustbench.datasets.loading.frames.typed import TextColumn, typed
from trustbench.datasets.loading.frames.words import filled_rows, words_of
from trustbench.errors import DataError

DEFAULT = Reading()


def read_frame(path: Path | pd.DataFrame, reading: Reading = DEFAULT) -> Frame:
    """Reads a CSV, TSV, Parquet or Arrow file, also gzipped text, or takes a DataFrame.

    What `reading` leaves open is sniffed from all rows, always in the same way, and is in the
    result's `understood` and `why`.

    Raises:
        DataError: the table cannot be read, or not with certainty; one sentence that says what to
            do.
    """
    if isinstance(path, pd.DataFrame):
        frame = _arrow_frame("the DataFrame", from_pandas(path), reading)
        return frame if frame.understood.index else _with_index(frame, path.index)
    kind = format_of(path)
    if kind not in ("text", "gzip"):
        return _arrow_frame(str(path), read_arrow(path, kind), reading)
    raw = path.read_bytes() if kind == "text" else _unzipped(path)
    return _text_frame(path, read_text(path, raw, reading), reading)


def _with_index(frame: Frame, index: pd.Index) -> Frame:
    frame.table.index = index
    return frame


def _unzipped(path: Path) -> bytes:
    packed = path.stat().st_size
    try:
        with gzip.open(path) as f:
            raw = f.read(largest_unpacked(packed) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be unpacked by gzip ({error}); it is cut off or damaged: copy it again."
        ) from error
    large = too_large(len(raw), packed)
    if large is not None:
        raise DataError(f"{path} is not read: {large}; if it is a table, unpack it with `gunzip`.")
    refuse_markup(path, raw[:64])
    return raw


def _text_frame(path: Path, text: CutText, declared: Reading) -> Frame:
    why: dict[str, str] = dict(text.why)
    doubts: dict[str, str] = {}
    columns = []
    while text.columns:  # a column at a time, so that its text can be freed
        columns.append(words_of(text.columns.pop(0)))
    filled = filled_rows(columns)
    if not filled.any():
        raise DataError(f"{path} holds a header and no rows; give a file with rows.")
    if not filled.all():
        why["rows"] = f"{(~filled).sum():,} rows without any value are left out"
        columns = [words.select_rows(filled) for words in columns]
    blank = {n for n, words in zip(text.names, columns, strict=True) if not len(words.words)}
    pairs = [
        (name, words)
        for name, words in zip(text.names, columns, strict=True)
        if name not in blank & text.unnamed
    ]
    named = distinct(str(path), pairs, lambda a, b: a.equals(b), why)
    refuse_unknown_columns(declared, named)
    columns_of_text = [TextColumn.of(name, words, declared) for name, words in named.items()]
    signs, form = signs_of(str(path), columns_of_text, declared, text, why, doubts)
    found = {column.name: typed(column, signs) for column in columns_of_text}
    index = index_of(found, declared, text.unnamed & {text.names[0]}, why)
    return assemble(found, form, declared, index, why, doubts)


def _arrow_frame(origin: str, table: pa.Table, declared: Reading) -> Frame:
    why: dict[str, str] = {}
    doubts: dict[str, str] = {}
    table = unnest(table, why, doubts)
    if not table.num_rows or not table.num_columns:
        raise DataError(f"{origin} holds no rows; give a table with rows.")
    unnamed = {name for name in table.column_names if name.startswith(PANDAS_INDEX)}
    given = list(declared.names) if declared.names is not None else table.column_names
    if len(given) != table.num_columns:
        raise DataError(
            f"reading.names gives {len(given)} names, but {origin} has {table.num_columns} "
            "columns; give one name for each."
        )
    names = complete([tidy(name) for name in given], why)
    pairs = list(zip(names, table.columns, strict=True))
    named = distinct(origin, pairs, lambda a, b: a.equals(b), why)
    refuse_unknown_columns(declared, named)
    found = {name: typed_arrow(name, column, declared) for name, column in named.items()}
    index = index_of(found, declared, unnamed, why)
    return assemble(found, Reading(names=declared.names), declared, index, why, doubts)
