"""Reads the table of an audit as a model's author has most likely read it: with pandas."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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
        return data.reset_index(drop=True)
    path = Path(data).expanduser()
    if not path.is_file():
        raise DataError(f"--data {data} is not a file.")
    frame = read_frame(path, reading)
    frame.refuse_doubts(frame.doubts)
    pairs = frame.understood.booleans
    table = frame.table.reset_index(drop=True)
    return table.assign(**{c: _as_written(table[c], pairs.get(c)) for c in table.columns})


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
