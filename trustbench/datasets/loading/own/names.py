"""Columns that a declaration names: found in the table, or refused with the nearest name."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import pandas as pd

from trustbench.datasets.loading.own.settings import TableError, TableSetting
from trustbench.errors import did_you_mean


def require_columns(table: pd.DataFrame, key: str | TableSetting, names: Iterable[str]) -> None:
    """Raises DataError if `key` names a column that the table does not have."""
    for name in names:
        if name not in table.columns:
            near = did_you_mean(name, map(str, table.columns)).rstrip(".")
            raise TableError(key, f" names {name!r}, which is not a column; {near}")


def matching(table: pd.DataFrame, key: str, pattern: str) -> list[str]:
    """The columns that match a pattern such as `e_*`, in the order of the table.

    Raises:
        DataError: no column does.
    """
    found = [c for c in table.columns if fnmatchcase(c, pattern)]
    if not found:
        near = did_you_mean(pattern, map(str, table.columns)).rstrip(".")
        raise TableError(f"{key} has the pattern {pattern!r}, which no column matches; {near}")
    return found


def expanded(table: pd.DataFrame, key: str, given: Iterable[str]) -> list[str]:
    """The columns that names and patterns stand for; raises DataError for one without a column."""
    found: dict[str, None] = {}
    for name in given:
        if name not in table.columns and set(name) & {"*", "?"}:
            found |= dict.fromkeys(matching(table, key, name))
        else:
            require_columns(table, key, [name])
            found[name] = None
    return list(found)


def block_name(pattern: str) -> str:
    """The name of an embedding from its pattern.

    >>> block_name("note_*"), block_name("e*"), block_name("*")
    ('note', 'e', 'embedding')
    """
    return pattern.replace("*", "").replace("?", "").strip("_.- ") or "embedding"


def unused_name(wanted: str, taken: Sequence[str]) -> str:
    """`wanted`, or a variant of it that is not taken.

    >>> unused_name("other", ["a", "other"])
    'other (2)'
    >>> unused_name("other", ["Other"])
    'other (2)'
    """
    name, k = wanted, 2
    lower = {t.casefold() for t in taken}  # `other` beside `Other` is one name to a reader
    while name.casefold() in lower:
        name, k = f"{wanted} ({k})", k + 1
    return name
