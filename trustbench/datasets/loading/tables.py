"""Raw tables: read as text, each row with its place in the file, each complaint one sentence."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from trustbench.contracts import Array
from trustbench.datasets.loading.sources import Source
from trustbench.errors import DataError, did_you_mean

LINE, ROW = "line", "row"
"""What the places of a table's index count: lines of a text file, rows of a binary one."""


def read_fields(
    source: Source, columns: Sequence[str], separator: str | None, comment: str | None = None
) -> pd.DataFrame:
    """A file without a header as text fields [n, columns]; blank lines are skipped.

    `separator` None: any white space. What follows a `comment` sign is not read.

    Raises:
        DataError: a line has more or fewer fields, or the file is not text of this kind.
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
    """The needed columns of a CSV file with a header, as text [n, needed].

    Raises:
        DataError: a column is missing or stands there twice with different values, a row has
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
    """The needed columns of a parquet file [n, needed].

    Raises:
        DataError: a column is missing or stands there twice, or the file is not parquet.
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
    """The needed columns, one each. A column may stand in a file twice if both say the same.

    Raises:
        DataError: a column is missing, or stands there twice with different values.
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
    """Raises DataError when the dataset's field has a value that is not among the known ones."""
    if given not in known:
        raise DataError(f"dataset {name}: {field}={given} is unknown; {did_you_mean(given, known)}")


def positions(levels: Iterable[object], names: Sequence[str]) -> Array:
    """Each level's place among the names: int64 [n].

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
    """(line that it begins on, fields) of every record that is not blank."""
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
