"""The kind of each input column: declared, or understood from its values."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from trustbench.datasets.loading.own.declared import DeclaredColumn, Kind
from trustbench.datasets.loading.own.names import block_name, matching, unused_name
from trustbench.datasets.loading.own.settings import TableError
from trustbench.datasets.loading.own.values import Series, has_two_values, is_date, is_number

TEXT_WORDS, TEXT_SHARE, TEXT_LEAST = 4, 0.3, 20
"""Text has this many words on average, and this share and number of different values."""


class ColumnBlock(NamedTuple):
    """An embedding: columns that mean something only together."""

    name: str
    columns: tuple[str, ...]


def embeddings(
    table: pd.DataFrame, patterns: Sequence[str], taken: Sequence[str]
) -> list[ColumnBlock]:
    """The embeddings that the patterns name, each one block.

    Raises:
        DataError: no column matches, a column is in two blocks, or holds text or no value.
    """
    blocks: list[ColumnBlock] = []
    owner: dict[str, str] = {}
    for pattern in patterns:
        columns = matching(table, "dataset.embedding", pattern)
        for column in columns:
            if column in owner:
                raise TableError(
                    f"dataset.embedding puts column {column} into {owner[column]} and {pattern}; "
                    "give each column to one"
                )
            owner[column] = pattern
            _refuse_not_numbers(table[column], pattern)
        name = unused_name(block_name(pattern), [*taken, *(b.name for b in blocks)])
        blocks.append(ColumnBlock(name, tuple(columns)))
    return blocks


def _refuse_not_numbers(values: Series, pattern: str) -> None:
    if not is_number(values):
        raise TableError(
            f"column {values.name} of the embedding {pattern} holds {values.dtype} values, not "
            "numbers; narrow the pattern in dataset.embedding"
        )
    wrong = ~np.isfinite(values.to_numpy(dtype=np.float64))
    if wrong.any():
        raise TableError(
            f"column {values.name} of the embedding {pattern} has no finite number in "
            f"{int(wrong.sum()):,} rows; embed these rows as well, or leave them out of the file"
        )


def kinds_of(
    table: pd.DataFrame, names: Sequence[str], declared: Mapping[str, DeclaredColumn]
) -> dict[str, Kind]:
    """The kind of each named column; a column without any value has none and is left out.

    Raises:
        DataError: columns are text or dates without parts, or one is not of its declared kind.
    """
    _refuse_texts(table, names, declared)
    found: dict[str, Kind] = {}
    for name in names:
        kind = _kind(table[name], declared.get(name, DeclaredColumn()))
        if kind is not None:
            found[name] = kind
    dates = [n for n, kind in found.items() if kind == "date"]
    _refuse_without_parts([n for n in dates if not declared.get(n, DeclaredColumn()).parts])
    return found


def _kind(values: Series, declared: DeclaredColumn) -> Kind | None:
    present = values.dropna()
    if present.empty:
        return None
    kind = declared.kind or _understood(present, declared)
    name = values.name
    if kind == "number" and not is_number(values):
        example = str(present.iloc[0])[:40]
        raise TableError(
            f"dataset.columns.{name}.kind=number, but {name} holds {example!r}; declare what its "
            "numbers look like in dataset.reading, or kind=category"
        )
    if kind == "date" and not is_date(values):
        raise TableError(
            f"dataset.columns.{name}.kind=date, but {name} was not read as dates; give their "
            "format in dataset.reading"
        )
    if kind == "ordered" and not is_number(values) and not declared.levels:
        raise TableError(
            f"dataset.columns.{name}.kind=ordered needs the order of its levels: "
            f"dataset.columns.{name}.levels=[lowest,...,highest]"
        )
    return kind


def _understood(present: Series, declared: DeclaredColumn) -> Kind:
    if is_date(present):
        return "date"
    if is_number(present):
        few = not declared.bins and has_two_values(present)
        return "category" if few or declared.levels else "number"
    return "category"


def _refuse_without_parts(dates: Sequence[str]) -> None:
    if not dates:
        return
    one = len(dates) == 1
    raise TableError(
        f"{'column' if one else 'columns'} {' and '.join(dates)} {'holds' if one else 'hold'} "
        f"dates; declare the numbers that {'it becomes' if one else 'each becomes'}, "
        + " ".join(f"dataset.columns.{name}.parts=[year,month,weekday]" for name in dates)
        + f" (or days since 1970), or leave {'it' if one else 'them'} out: "
        f"dataset.drop=[{','.join(dates)}]"
    )


def _refuse_texts(
    table: pd.DataFrame, names: Sequence[str], declared: Mapping[str, DeclaredColumn]
) -> None:
    """Raises one DataError that names all columns of text."""
    found = {
        name: told
        for name in names
        if not declared.get(name, DeclaredColumn()).kind and (told := _text(table[name].dropna()))
    }
    if not found:
        return
    one = len(found) == 1
    told = " and ".join(f"{name} holds text ({size})" for name, size in found.items())
    first = next(iter(found))
    raise TableError(
        f"column {told}, which is not an input; embed {'it' if one else 'each'} with a text model "
        f"into columns such as {first}_0, {first}_1, ... and give "
        f"dataset.embedding=[{','.join(f'{n}_*' for n in found)}], or leave "
        f"{'it' if one else 'them'} out: dataset.drop=[{','.join(found)}]"
    )


def _text(present: Series) -> str:
    """How long the values are, in words, if they are text and not levels; else ''."""
    if present.empty or is_date(present) or is_number(present):
        return ""
    texts = present.astype(str)
    different = texts.nunique()
    words = texts.iloc[:1000].str.count(" ").mean() + 1
    if different < max(TEXT_LEAST, TEXT_SHARE * len(texts)) or words < TEXT_WORDS:
        return ""
    return f"{words:.0f} words on average, {different:,} different values"
