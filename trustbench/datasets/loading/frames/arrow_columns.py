"""The type of a column that a file declares itself: Parquet, Arrow, or a DataFrame's."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trustbench.contracts import Array
from trustbench.datasets.loading.frames.dates import arrow_dates
from trustbench.datasets.loading.frames.numbers import PLAIN
from trustbench.datasets.loading.frames.reading import Reading
from trustbench.datasets.loading.frames.typed import TextColumn, Typed, booleans, typed
from trustbench.datasets.loading.frames.words import words_of

LARGEST = 2**53
"""Whole numbers above this lose digits as float64; they are ids."""


def typed_arrow(name: str, column: pa.ChunkedArray, declared: Reading) -> Typed:
    """Gives a column of an Arrow table its type.

    Raises:
        DataError: its values do not fit the declared type.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return typed_arrow(name, column.cast(kind.value_type), declared)
    wanted = declared.declared_type(name)
    if pa.types.is_null(kind):
        column, kind = column.cast(pa.large_string()), pa.large_string()
    if _is_number(kind) and wanted in (None, "number", "boolean") and not _ids(column):
        return _number(name, column, declared)
    if pa.types.is_boolean(kind) and wanted in (None, "boolean"):
        return Typed(booleans(_floats(column)), "boolean")
    if _is_date(kind) and wanted in (None, "date"):
        return Typed(arrow_dates(column), "date")
    if _is_text(kind):
        words = words_of(column.cast(pa.large_string()))
        return typed(TextColumn.of(name, words, declared, wanted == "number"), PLAIN)
    return _as_text(name, column, declared)


def _as_text(name: str, column: pa.ChunkedArray, declared: Reading) -> Typed:
    if _is_number(column.type) and not pa.types.is_integer(column.type):
        whole = column.cast(pa.float64())
        if pc.all(pc.equal(whole, pc.round(whole))).as_py():
            column = whole.cast(pa.int64(), safe=False)
    try:
        text = column.cast(pa.large_string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        doubt = (
            f"column {name} holds values of type {column.type}, which are not read; convert them "
            "to numbers, text or dates, or leave the column out of those in use."
        )
        return Typed(np.full(len(column), np.nan, dtype=object), "text", doubt=doubt)
    ids = _is_number(column.type) and declared.declared_type(name) is None
    reason = "whole numbers with more digits than a number keeps, as ids have" if ids else ""
    known = declared if not ids else _with_text(declared, name)
    found = typed(TextColumn.of(name, words_of(text), known, numeric=False), PLAIN)
    return found if not reason else Typed(found.values, "text", reason, missing=found.missing)


def _with_text(declared: Reading, name: str) -> Reading:
    return replace(declared, types={**declared.types, name: "text"})


def _number(name: str, column: pa.ChunkedArray, declared: Reading) -> Typed:
    values = _floats(column)
    codes = [c for c in declared.codes(name) or () if not isinstance(c, str)]
    coded = np.isin(values, codes)
    values[coded] = np.nan
    missing = tuple(map(str, codes)) if coded.any() else ()
    wanted = declared.declared_type(name)
    given = np.unique(values[~np.isnan(values)]) if wanted != "number" else np.empty(0)
    if given.tolist() == [0.0, 1.0]:
        why = "0 is false and 1 is true"
        return Typed(booleans(values), "boolean", why, missing=missing, pair=("0", "1"))
    return Typed(values, "number", missing=missing)


def _floats(column: pa.ChunkedArray) -> Array:
    return np.array(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _ids(column: pa.ChunkedArray) -> bool:
    if not pa.types.is_integer(column.type) or not len(column):
        return False
    low, high = pc.min_max(column).as_py().values()
    return low is not None and max(abs(low), abs(high)) > LARGEST


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _is_date(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    found = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(found)
