"""Scales that are declared instead of learnt: a privacy claim then holds for every row."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from trustbench.contracts import NumberColumn
from trustbench.datasets.loading.own.declared import DeclaredColumn, Kind, Missing
from trustbench.datasets.loading.own.settings import TableError

OF_PART = {"month": (1.0, 12.0), "day": (1.0, 31.0), "weekday": (0.0, 6.0), "hour": (0.0, 23.0)}
"""The first and last number of those parts of a date that have one."""


def bounds(rule: NumberColumn, declared: DeclaredColumn) -> tuple[float, float] | None:
    """The lowest and highest number of a column that need no rows; None if they are not known."""
    if rule.part is not None:
        return OF_PART.get(rule.part)
    if rule.levels:
        return 0.0, max(1.0, len(rule.levels) - 1.0)
    if declared.low is None or declared.high is None:
        return None
    return declared.low, declared.high


def scaled_by_bounds(rule: NumberColumn, declared: DeclaredColumn, marked: bool) -> NumberColumn:
    """The rule that maps the bounds to -1 and 1; a missing value is the middle.

    With `marked` there is an indicator of missing values, whether or not a row lacks one.
    `declared_kinds` has looked: every number has bounds.
    """
    known = bounds(rule, declared)
    assert known is not None
    low, high = known
    middle = (low + high) / 2
    return replace(rule, mean=middle, deviation=(high - low) / 2, fill=middle, indicator=marked)


def declared_kinds(
    understood: Mapping[str, Kind], names: Sequence[str], declared: Mapping[str, DeclaredColumn]
) -> dict[str, Kind]:
    """The kinds of the columns by what is declared about them, for any rows.

    What was `understood` from the rows only helps to say what is lacking.

    Raises:
        DataError: a column's range, levels or parts are not declared; it names all such columns.
    """
    found: dict[str, Kind] = {}
    lacking = []
    for name in names:
        own = declared.get(name, DeclaredColumn())
        kind = kind_by_declaration(own)
        if kind is None:
            number = (own.kind or understood.get(name)) == "number"
            way = (
                f"{name}.low=L dataset.columns.{name}.high=H" if number else f"{name}.levels=[...]"
            )
            lacking.append(f"dataset.columns.{way}")
        else:
            found[name] = kind
    if lacking:
        raise TableError(
            "dataset.scaling=declared reads no rows to know the range of a number or the levels of "
            f"a category; give {' '.join(lacking)}, or leave columns out with dataset.drop"
        )
    for name, kind in found.items():
        parts = declared[name].parts if kind == "date" else ()
        endless = [part for part in parts if part not in OF_PART]
        if endless:
            raise TableError(
                f"dataset.scaling=declared knows no bounds of {' and '.join(endless)} of the date "
                f"{name}; leave them out of dataset.columns.{name}.parts, or give the file a "
                "column with the number"
            )
    return found


def kind_by_declaration(declared: DeclaredColumn) -> Kind | None:
    """What a column is by its declaration alone; None if that leaves something to its values."""
    if declared.levels:
        return "ordered" if declared.kind == "ordered" else "category"
    if declared.parts:
        return "date"
    low, high = declared.low, declared.high
    bounded = low is not None and high is not None and low < high
    return "number" if bounded and declared.kind in (None, "number") else None


def refuse_learning(name: str, missing: Missing) -> None:
    """Raises DataError if missing values would be learnt from rows."""
    if missing == "impute":
        raise TableError(
            f"missing values of {name} are imputed from rows, and dataset.scaling=declared learns "
            "nothing from rows; give dataset.missing=own or dataset.missing=refuse"
        )


def refuse_merged(merged: str) -> None:
    """Raises DataError if small groups would be merged, which counts rows."""
    if merged:
        raise TableError(
            f"{merged}, and dataset.scaling=declared counts no rows; declare coarser groups (bins "
            "of a number, a column with fewer levels), or give dataset.min_group=1"
        )
