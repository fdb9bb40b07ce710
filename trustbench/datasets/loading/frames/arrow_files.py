"""Reads Parquet and Arrow files, and DataFrames: their columns have types, and may be nested."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from trustbench.contracts.unpacking import too_large
from trustbench.datasets.loading.frames.formats import Format
from trustbench.errors import DataError

PANDAS_INDEX = "__index_level_"
MANY = 10_000
VALUE = 8
"""Bytes of a value in memory."""


def read_arrow(path: Path, kind: Format) -> pa.Table:
    """Reads the file at `path`; raises DataError if it is broken."""
    readers: dict[str, Callable[[], pa.Table]] = {
        "parquet": lambda: _parquet(path),
        "arrow file": lambda: _batches(path, *_of_file(path)),
        "arrow stream": lambda: _batches(path, *_of_stream(path)),
        "feather 1": lambda: _feather(path),
    }
    try:
        return readers[kind]()
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as {kind.split()[0].capitalize()} "
            f"({' '.join(str(error).split())}); it is cut off or damaged: write or copy it again."
        ) from error


def from_pandas(table: pd.DataFrame) -> pa.Table:
    """A DataFrame as an Arrow table; raises DataError for a column of mixed objects."""
    columns = {}
    for j, name in enumerate(map(str, table.columns)):
        try:
            columns[j] = pa.Array.from_pandas(table.iloc[:, j])
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise DataError(
                f"column {name} of the DataFrame holds values of several types "
                f"({' '.join(str(error).split())}); convert it, for example with "
                f"frame[{name!r}].astype(str)."
            ) from error
    return pa.Table.from_arrays(list(columns.values()), names=list(map(str, table.columns)))


def unnest(table: pa.Table, why: dict[str, str], doubts: dict[str, str]) -> pa.Table:
    """Turns structs and lists of one length into columns; leaves out what cannot be.

    Adds a sentence on each of them to `why` or `doubts`.
    """
    while any(pa.types.is_struct(f.type) for f in table.schema):
        for f in table.schema:
            if pa.types.is_struct(f.type):
                why[f"column {f.name}"] = f"its {f.type.num_fields} parts became columns {f.name}.*"
        table = table.flatten()
    names, columns = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if _is_list(field.type):
            parts = _parts(column)
            if parts is None:
                doubts[field.name] = (
                    f"column {field.name} holds lists of different lengths, or of no numbers; "
                    "write one column for each entry, or leave it out of the columns in use."
                )
                continue
            why[f"column {field.name}"] = (
                f"its lists of {len(parts)} numbers became {field.name}_0 to "
                f"{field.name}_{len(parts) - 1}"
            )
            names += [f"{field.name}_{k}" for k in range(len(parts))]
            columns += parts
        else:
            names.append(field.name)
            columns.append(column)
    return pa.Table.from_arrays(columns, names=names)


def _parquet(path: Path) -> pa.Table:
    from pyarrow import parquet

    file = parquet.ParquetFile(path)
    found = file.metadata
    packed = sum(found.row_group(k).total_byte_size for k in range(found.num_row_groups))
    # what is equal in all rows is packed to almost nothing
    _refuse_large(path, max(packed, found.num_rows * found.num_columns * VALUE))
    return file.read()


def _of_file(path: Path) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    file = pa.ipc.open_file(path)
    return file.schema, map(file.get_batch, range(file.num_record_batches))


def _of_stream(path: Path) -> tuple[pa.Schema, Iterable[pa.RecordBatch]]:
    stream = pa.ipc.open_stream(path)
    return stream.schema, stream


def _batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """The batches as a table; they are added up as they are read, since they declare no size."""
    kept, size = [], 0
    for batch in batches:
        size += batch.nbytes
        _refuse_large(path, size)
        kept.append(batch)
    return pa.Table.from_batches(kept, schema)


def _refuse_large(path: Path, declared: int) -> None:
    large = too_large(declared, path.stat().st_size)
    if large is not None:
        raise DataError(f"{path} is not read: {large}; if it is a table, give a part of it.")


def _feather(path: Path) -> pa.Table:
    from pyarrow import feather

    return feather.read_table(path)


def _is_list(kind: pa.DataType) -> bool:
    found = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(is_kind(kind) for is_kind in found)


def _parts(column: pa.ChunkedArray) -> list[pa.ChunkedArray] | None:
    """The entries of lists of numbers of one length, a column each; None if they are not."""
    inner = column.type.value_type
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    number = pa.types.is_integer(inner) or pa.types.is_floating(inner)
    if not number or len(lengths) != 1 or not lengths[0] or lengths[0] > MANY:
        return None
    return [pc.list_element(column, k) for k in range(lengths[0])]
