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
    return table.assign(**{c: _as_written(table[c], pairs.get(c)) for c in table.columns})


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


def _as_written(values: Any, pair: tuple[str, str] | None) -> Any:
    """Whole numbers as int64, and booleans in the words of the file unless these are true, false.

    `pandas.read_csv` gives the same, so a model that was fitted on its tables knows the levels.
    """
    import pandas as pd

    if pd.api.types.is_bool_dtype(values):
        if pair is None or tuple(word.lower() for word in pair) in TRUTH:
            return values
        words = [float(word) if word.isdecimal() else word for word in pair]
        named = values.map({False: words[0], True: words[1]}, na_action="ignore")
        return _as_written(named.infer_objects(), None)
    if pd.api.types.is_float_dtype(values):
        numbers = values.to_numpy(dtype=np.float64)
        if np.isfinite(numbers).all() and (numbers == np.floor(numbers)).all():
            return values.astype(np.int64)
    return values
