"""The raw values of one column as labels, numbers, places and parts of dates."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from trustbench.contracts.arrays import Array
from trustbench.contracts.shortening import listed
from trustbench.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Fields: TypeAlias = "pd.Series[Any]"
DatePart = Literal["year", "month", "day", "weekday", "hour", "days"]
"""A number that a date becomes; `days` counts days since 1970, with their fraction."""


def written(value: object) -> list[str]:
    """The ways in which a file may write a value: 1.0 is also the code 1."""
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return [str(value), str(int(value))] if whole else [str(value)]  # type: ignore[call-overload]


class Labels(NamedTuple):
    """The label of each value, as distinct[codes]; a missing value has code -1, the last."""

    codes: Array
    distinct: list[str]


def labels_of(
    name: str,
    values: Fields,
    label: Callable[[object], str | None],
    missing: str | None,
    known: Sequence[str],
) -> Labels:
    """Looks up each distinct value once."""
    codes, distinct = values.factorize()
    if missing is None and (codes < 0).any():
        raise missing_value(name, codes < 0, f"one of {listed(known, 9)}")
    found = [label(value) for value in distinct]
    unknown = [repr(value) for value, given in zip(distinct, found, strict=True) if given is None]
    if unknown:
        raise DataError(
            f"column {name} holds {listed(unknown)}, which the model does not know; it knows "
            f"{listed(known, 9)}."
        )
    return Labels(codes, [*filter(None, found), missing or ""])


def numbers_of(name: str, values: Fields) -> Array:
    """Values as numbers, float64 [n]; NaN where they are missing."""
    try:
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        wrong = [repr(value) for value in values.dropna().unique() if not _is_number(value)]
        raise DataError(
            f"column {name} holds {listed(wrong)} where a number belongs; correct it."
        ) from None


def places_of(name: str, values: Fields, levels: Sequence[str]) -> Array:
    """The place of each value among ordered levels, float64 [n]; NaN where it is missing."""
    codes, distinct = values.factorize()
    place = {level: float(k) for k, level in enumerate(levels)}
    found = [next((place[t] for t in written(v) if t in place), None) for v in distinct]
    unknown = [repr(v) for v, p in zip(distinct, found, strict=True) if p is None]
    if unknown:
        raise DataError(
            f"column {name} holds {listed(unknown)}, which its order of levels does not name; it "
            f"names {listed(levels, 9)}."
        )
    return np.asarray(np.array([*found, np.nan], dtype=np.float64)[codes])


def date_part(column: str, values: Fields, part: DatePart) -> Array:
    """A part of each date, float64 [n]; NaN where it is missing."""
    import pandas as pd

    try:
        moments = pd.DatetimeIndex(pd.to_datetime(values, utc=True)).tz_localize(None)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"column {column} holds values that are not dates ({error}); write them as 2020-12-31."
        ) from error
    if part == "days":
        return np.asarray((moments - pd.Timestamp(0)) / pd.Timedelta(days=1), dtype=np.float64)
    name = "day_of_week" if part == "weekday" else part
    return np.asarray(getattr(moments, name), dtype=np.float64)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def missing_value(name: str, rows: Array, wanted: str) -> DataError:
    """The error for a column with missing values where `wanted` belongs."""
    return DataError(
        f"column {name} has no value in {int(rows.sum())} rows (first: row {int(rows.argmax())}); "
        f"give {wanted} there, or leave these rows out."
    )
