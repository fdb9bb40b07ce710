"""Reads the table of an audit as a model's author has most likely read it: with pandas."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trustbench.contracts.shortening import listed
from trustbench.datasets.loading.frames import Reading, read_frame
from trustbench.errors import DataError

if TYPE_CHECKING:
    from pandas import DataFrame

TRUTH = {("false", "true"), ("f", "t")}


def read_rows(data: "str | Path | DataFrame", reading: Reading) -> "DataFrame":
    """The rows of a file, or of a DataFrame as it is.

    Raises:
        DataError: the file is absent, or cannot be read with certainty.
    """
    if not isinstance(data, str | Path):
        return _checked(data)
    path = Path(data).expanduser()
    if not path.is_file():
        raise DataError(f"--data {data} is not a file; give the path of a table.")
    frame = read_frame(path, reading)
    frame.refuse_doubts(frame.doubts)
    pairs = frame.understood.booleans
    table = frame.table.reset_index(drop=True)
    return table.assign(**{c: _as_pandas_reads(table[c], pairs.get(c)) for c in table.columns})


def _checked(data: "DataFrame") -> "DataFrame":
    """A DataFrame whose columns have a name each."""
    import pandas as pd

    if not isinstance(data, pd.DataFrame):
        raise DataError(
            f"the table is a {type(data).__name__}; give a pandas.DataFrame, or a file."
        )
    names: list[object] = list(data.columns)
    other = [repr(name) for name in names if not isinstance(name, str)]
    if other:
        raise DataError(
            f"the table has columns that are not named by text ({listed(other)}); rename them: "
            "table.columns = table.columns.map(str)."
        )
    twice = sorted(set(data.columns[data.columns.duplicated()]))
    if twice:
        raise DataError(f"the table has several columns named {listed(twice)}; rename them.")
    return data.reset_index(drop=True)


def _as_pandas_reads(values: Any, pair: tuple[str, str] | None) -> Any:
    """A column as `pandas.read_csv` gives it, so that a model knows the levels it was fitted on.

    `pair` are the words of the file for false and true, if the column has two such words.
    """
    return _whole_as_int(_in_words(values, pair))


def _in_words(values: Any, pair: tuple[str, str] | None) -> Any:
    """Booleans in the words of the file, unless these are true and false."""
    import pandas as pd

    if not pd.api.types.is_bool_dtype(values):
        return values
    if pair is None or tuple(word.lower() for word in pair) in TRUTH:
        return values
    words = [float(word) if word.isdecimal() else word for word in pair]
    return values.map({False: words[0], True: words[1]}, na_action="ignore").infer_objects()


def _whole_as_int(values: Any) -> Any:
    """Numbers as int64 if all are whole and none is missing."""
    import pandas as pd

    if not pd.api.types.is_float_dtype(values):
        return values
    numbers = values.to_numpy(dtype=np.float64)
    whole = np.isfinite(numbers).all() and (numbers == np.floor(numbers)).all()
    return values.astype(np.int64) if whole else values
