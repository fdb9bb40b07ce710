"""Reads raw tables as text; each row knows its position in the file, each fault is one sentence."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from trustbench.contracts import Array
from trustbench.datasets.loading.sources import Source
from trustbench.errors import DataError, did_you_mean

LINE, ROW = "line", "row"
"""What the index of a table counts: lines of a text file, rows of a binary one."""


def read_fields(
    source: Source, columns: Sequence[str], separator: str | None, comment: str | None = None
) -> pd.DataFrame:
    """Reads a file without a header as text fields [n, columns]; blank lines are skipped.

    `separator` None means any white space. Text after a `comment` sign is ignored.

    Raises:
        DataError: a line has more or fewer fields, or the file is not such a text file.
    """
    lines, rows = [], []
    for number, line in enumerate(_text(source).split("\n"), start=1):
        read = line.split(comment)[0] if comment else line
        if not read.strip():
            continue
        fields = [field.strip() for field in read.split(separator)]
        if len(fields) != len(columns) or not all(fields):
            empty = f" ({fields.count('')} empty)" if not all(fields) else ""
            raise source.error(
                f"line {number} of {source.path} has {len(fields)} fields{empty}, where each has "
                f"{len(columns)}: {', '.join(columns)}"
            )
        lines.append(number)
        rows.append(fields)
    return _placed(source, rows, columns, lines)


def read_csv(source: Source, needed: Sequence[str]) -> pd.DataFrame:
    """Reads the needed columns of a CSV file with a header, as text [n, needed].

    Raises:
        DataError: a column is missing or occurs twice with different values, a row has
            more or fewer fields than the header, or the file is not a CSV.
    """
    records = list(_records(source))
    if not records:
        raise source.error(f"{source.path} holds no rows")
    (_, header), *rows = records
    for line, fields in rows:
        if len(fields) != len(header):
            raise source.error(
                f"line {line} of {source.path} has {len(fields)} fields, where the header names "
                f"{len(header)}"
            )
    lines = [line for line, _ in rows]
    table = _placed(source, [fields for _, fields in rows], range(len(header)), lines)
    table.columns = pd.Index(header)
    return chosen(source, table, needed)


def read_parquet(source: Source, needed: Sequence[str]) -> pd.DataFrame:
    """Reads the needed columns of a parquet file [n, needed].

    Raises:
        DataError: a column is missing or occurs twice, or the file is not parquet.
    """
    from pyarrow import ArrowException

    try:
        table = pd.read_parquet(source.path)
    except ArrowException as error:
        raise source.error(
            f"{source.path} cannot be read as parquet ({' '.join(str(error).split())})"
        ) from error
    if table.empty:
        raise source.error(f"{source.path} holds no rows")
    table.index = pd.RangeIndex(1, len(table) + 1, name=ROW)
    return chosen(source, table, needed)


def chosen(source: Source, table: pd.DataFrame, needed: Sequence[str]) -> pd.DataFrame:
    """Selects the needed columns. A column may occur twice in a file if both copies agree.

    Raises:
        DataError: a column is missing, or occurs twice with different values.
    """
    for name in needed:
        places = np.flatnonzero(table.columns == name)
        if not len(places):
            raise source.error(
                f"{source.path} has no column {name!r}; "
                f"{did_you_mean(name, map(str, table.columns)).rstrip('.')}"
            )
        first, *others = (table.iloc[:, int(place)].to_numpy() for place in places)
        differs = np.any([first != other for other in others], axis=0)
        if np.any(differs):
            raise source.error(
                f"{source.path} has column {name!r} {len(places)} times, and they differ (first "
                f"on {table.index.name} {table.index[differs][0]})"
            )
    return table.loc[:, ~table.columns.duplicated()][list(needed)]


def refuse_unknown(name: str, field: str, given: str, known: Mapping[str, object]) -> None:
    """Raises DataError if the dataset's field has an unknown value."""
    if given not in known:
        raise DataError(f"dataset {name}: {field}={given} is unknown; {did_you_mean(given, known)}")


def positions(levels: Iterable[object], names: Sequence[str]) -> Array:
    """The position of each level among the names: int64 [n].

    >>> positions(["b", "a", "b"], ("a", "b")).tolist()
    [1, 0, 1]
    """
    place = {name: k for k, name in enumerate(names)}
    return np.array([place[str(level)] for level in levels], dtype=np.int64)


def _text(source: Source) -> str:
    try:
        return source.path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise source.error(f"{source.path} is not text ({error.reason})") from error


def _records(source: Source) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, fields) of every record that is not blank."""
    reader = csv.reader(io.StringIO(_text(source)), strict=True)
    begins = 1
    try:
        for fields in reader:
            if fields:
                yield begins, fields
            begins = reader.line_num + 1
    except csv.Error as error:
        raise source.error(f"{source.path} cannot be read as a table ({error})") from error


def _placed(
    source: Source, rows: list[list[str]], columns: Iterable[object], lines: list[int]
) -> pd.DataFrame:
    if not rows:
        raise source.error(f"{source.path} holds no rows")
    return pd.DataFrame(rows, columns=list(columns), index=pd.Index(lines, name=LINE), dtype=object)
