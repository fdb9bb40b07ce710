"""Rows as a given model takes them: its own columns, in its own order."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from pandas import DataFrame

from trustbench.contracts import Array
from trustbench.errors import UserError, did_you_mean

Rows: TypeAlias = DataFrame | Array


def ordered(rows: Rows, names: Sequence[str], who: str) -> DataFrame:
    """Returns a table of the columns `names`, in this order; other columns are dropped.

    An array is taken to hold these columns already.

    Raises:
        UserError: a column is missing, or an array has another width.
    """
    if not isinstance(rows, DataFrame):
        if rows.shape[1:] != (len(names),):
            raise UserError(
                f"model {who} takes {len(names)} columns; these rows have shape {list(rows.shape)}."
            )
        return DataFrame(rows, columns=list(names))
    missing = [name for name in names if name not in rows.columns]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise UserError(
            f"model {who} reads the column {missing[0]!r}{more}, which the table lacks; "
            f"{did_you_mean(missing[0], map(str, rows.columns))}"
        )
    return rows[list(names)]


def numbers(rows: Rows, width: int, who: str) -> Array:
    """Returns rows as numbers, float64 [n, width]; missing values are NaN.

    Raises:
        UserError: a column holds text, or the number of columns differs.
    """
    if isinstance(rows, DataFrame):
        text = [str(c) for c in rows.columns if not is_number(rows[c])]
        if text:
            raise UserError(
                f"model {who} takes numbers, and the column {text[0]!r} holds text or dates; audit "
                "the pipeline that encodes them, or give a table that is encoded as the model "
                "expects."
            )
        values = rows.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        values = np.asarray(rows, dtype=np.float64)
    if values.shape[1:] != (width,):
        raise UserError(
            f"model {who} takes {width} columns; these rows have shape {list(values.shape)}."
        )
    return values


def is_number(column: "pd.Series") -> bool:
    """Whether a column holds numbers or booleans."""
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))
