"""The kind of each input column: declared, or understood from its values."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from trustbench.datasets.loading.own.declared import Declared, Kind
from trustbench.datasets.loading.own.names import block_name, matching, refuse, unused_name
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
                raise refuse(
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
        raise refuse(
            f"column {values.name} of the embedding {pattern} holds {values.dtype} values, not "
            "numbers; narrow the pattern in dataset.embedding"
        )
    wrong = ~np.isfinite(values.to_numpy(dtype=np.float64))
    if wrong.any():
        raise refuse(
            f"column {values.name} of the embedding {pattern} has no finite number in "
            f"{int(wrong.sum()):,} rows; embed these rows as well, or leave them out of the file"
        )


def kinds_of(
    table: pd.DataFrame, names: Sequence[str], declared: Mapping[str, Declared]
) -> dict[str, Kind]:
    """The kind of each named column; a column without any value has none and is left out.

    Raises:
        DataError: a column is text or a date without parts, or is not of its declared kind.
    """
    found: dict[str, Kind] = {}
    for name in names:
        kind = _kind(table[name], declared.get(name, Declared()))
        if kind is not None:
            found[name] = kind
    return found


def _kind(values: Series, declared: Declared) -> Kind | None:
    present = values.dropna()
    if present.empty:
        return None
    kind = declared.kind or _understood(present, declared)
    name = values.name
    if kind == "number" and not is_number(values):
        example = str(present.iloc[0])[:40]
        raise refuse(
            f"dataset.columns.{name}.kind=number, but {name} holds {example!r}; declare what its "
            "numbers look like in dataset.reading, or kind=category"
        )
    if kind == "date":
        _refuse_date(values, declared)
    if kind == "ordered" and not is_number(values) and not declared.levels:
        raise refuse(
            f"dataset.columns.{name}.kind=ordered needs the order of its levels: "
            f"dataset.columns.{name}.levels=[lowest,...,highest]"
        )
    return kind


def _understood(present: Series, declared: Declared) -> Kind:
    if is_date(present):
        return "date"
    if is_number(present):
        few = not declared.bins and has_two_values(present)
        return "category" if few or declared.levels else "number"
    _refuse_text(present, declared)
    return "category"


def _refuse_date(values: Series, declared: Declared) -> None:
    name = values.name
    if not is_date(values):
        raise refuse(
            f"dataset.columns.{name}.kind=date, but {name} was not read as dates; give their "
            "format in dataset.reading"
        )
    if not declared.parts:
        raise refuse(
            f"column {name} holds dates; declare the numbers that it becomes, "
            f"dataset.columns.{name}.parts=[year,month,weekday] (or days since 1970), or leave it "
            f"out: dataset.drop=[{name}]"
        )


def _refuse_text(present: Series, declared: Declared) -> None:
    texts = present.astype(str)
    different = texts.nunique()
    if declared.kind or different < max(TEXT_LEAST, TEXT_SHARE * len(texts)):
        return
    words = texts.iloc[:1000].str.count(" ").mean() + 1
    if words >= TEXT_WORDS:
        name = present.name
        raise refuse(
            f"column {name} holds text ({words:.0f} words on average, {different:,} different "
            "values), which is not an input; embed it with a text model into columns such as "
            f"{name}_0, {name}_1, ... and give dataset.embedding=[{name}_*], or leave it out: "
            f"dataset.drop=[{name}]"
        )
