"""The values of a column as levels, bins and dates."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from trustbench.contracts import Array
from trustbench.contracts.truth_words import FALSE_WORDS, TRUE_WORDS

Series: TypeAlias = "pd.Series[Any]"
BOOLEANS = {False: "no", True: "yes"}


def is_number(values: Series) -> bool:
    """Whether the values are numbers and not truth values."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def has_two_values(present: Series) -> bool:
    """Whether at most two different values occur; the first rows of a large column tell most."""
    return present.iloc[:1000].nunique() <= 2 and present.nunique() <= 2


def is_date(values: Series) -> bool:
    """Whether the values are points in time."""
    return pd.api.types.is_datetime64_any_dtype(values)


def as_written(table: pd.DataFrame, pairs: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """The table with truth values in the words of its file, in which later rows come as well.

    `pairs` are the words for false and true of each such column.
    """
    words = {}
    for name, pair in pairs.items():
        if name in table and pd.api.types.is_bool_dtype(table[name]):
            code = table[name].astype("Int8").fillna(2).to_numpy(dtype=np.int64)
            words[name] = np.array([*pair, None], dtype=object)[code]
    return table.assign(**words)


def level_name(value: object) -> str:
    """The name of a level: a whole number has no decimal point, a truth value is yes or no.

    >>> [level_name(v) for v in (1.0, 2.5, True, "A34")]
    ['1', '2.5', 'yes', 'A34']
    """
    if isinstance(value, bool | np.bool_):
        return BOOLEANS[bool(value)]
    if isinstance(value, int | float | np.number):
        return number_text(float(value))
    return str(value)


def spellings(names: Sequence[str]) -> dict[str, str]:
    """How rows that are scored later may write the truth values among the names of levels.

    >>> spellings(["no", "yes"])
    {'False': 'no', '0': 'no', 'True': 'yes', '1': 'yes'}
    """
    given = [(value, text) for value, text in BOOLEANS.items() if text in names]
    return {written: text for value, text in given for written in (str(value), str(int(value)))}


def number_text(value: float) -> str:
    """A number as short as it is exact.

    >>> number_text(3.0), number_text(0.1), number_text(1e12)
    ('3', '0.1', '1000000000000')
    """
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(value)


def levels_of(values: Series) -> tuple[Array, list[str]]:
    """(position [n], names): the level of each row, -1 where a value is missing.

    Numbers are in the order of their size, everything else in that of its name.
    """
    position, found = pd.factorize(values, use_na_sentinel=True)
    names = [level_name(value) for value in found]
    key = list(found) if is_number(values) else names
    order = sorted(range(len(names)), key=lambda k: key[k])
    place = np.full(len(names) + 1, -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    return place[position], [names[k] for k in order]


def bin_names(cuts: Sequence[float]) -> list[str]:
    """The names of the bins between cuts.

    >>> bin_names([25, 65])
    ['below 25', '25 to below 65', '65 and above']
    """
    texts = [number_text(float(c)) for c in cuts]
    between = [f"{a} to below {b}" for a, b in pairwise(texts)]
    return [f"below {texts[0]}", *between, f"{texts[-1]} and above"]


def binned(values: Array, cuts: Sequence[float]) -> Array:
    """The bin of each number, -1 for NaN.

    >>> binned(np.array([24.9, 25.0, np.nan, 70.0]), [25, 65]).tolist()
    [0, 1, -1, 2]
    """
    place = np.searchsorted(np.asarray(cuts, dtype=np.float64), values, side="right")
    return np.where(np.isnan(values), -1, place).astype(np.int64)


def find_level(given: object, names: Sequence[str]) -> str | None:
    """The level that a declared value means, or None; truth values have many spellings.

    >>> find_level(1, ["0", "1"]), find_level(True, ["0", "1"]), find_level(0, ["no", "yes"])
    ('1', '1', 'no')
    >>> find_level("good", ["bad", "Good"]) is None
    True
    """
    wanted = level_name(given)
    if wanted in names:
        return wanted
    for words in (FALSE_WORDS, TRUE_WORDS):
        meant = [n for n in names if n.lower() in words]
        if wanted.lower() in words and len(meant) == 1:
            return meant[0]
    return None
