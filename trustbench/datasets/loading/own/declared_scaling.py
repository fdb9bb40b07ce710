"""Scales that are declared instead of learnt: a privacy claim then holds for every row."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from trustbench.contracts import NumberColumn
from trustbench.datasets.loading.own.declared import DeclaredColumn, Kind, Missing
from trustbench.datasets.loading.own.names import refuse

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


def scaled_by_bounds(rule: NumberColumn, declared: DeclaredColumn, absent: bool) -> NumberColumn:
    """The rule that maps the bounds to -1 and 1; a missing value is the middle and is marked.

    `refuse_unbounded` has looked: every number has bounds.
    """
    known = bounds(rule, declared)
    assert known is not None
    low, high = known
    middle = (low + high) / 2
    scaled = replace(rule, mean=middle, deviation=(high - low) / 2)
    return replace(scaled, fill=middle, indicator=True) if absent else scaled


def refuse_unbounded(kinds: Mapping[str, Kind], declared: Mapping[str, DeclaredColumn]) -> None:
    """Raises DataError if a number or a part of a date has no bounds; it names all of them."""
    lacking = [
        name
        for name, kind in kinds.items()
        if kind == "number" and _without_range(declared.get(name, DeclaredColumn()))
    ]
    if lacking:
        raise refuse(
            "dataset.scaling=declared scales by declared bounds; give "
            + " ".join(f"dataset.columns.{n}.low=L dataset.columns.{n}.high=H" for n in lacking)
        )
    for name, kind in kinds.items():
        parts = declared.get(name, DeclaredColumn()).parts if kind == "date" else ()
        endless = [part for part in parts if part not in OF_PART]
        if endless:
            raise refuse(
                f"dataset.scaling=declared knows no bounds of {' and '.join(endless)} of the date "
                f"{name}; leave them out of dataset.columns.{name}.parts, or give the file a "
                "column with the number"
            )


def refuse_learning(name: str, missing: Missing) -> None:
    """Raises DataError if missing values would be learnt from rows."""
    if missing == "impute":
        raise refuse(
            f"missing values of {name} are imputed from rows, and dataset.scaling=declared learns "
            "nothing from rows; give dataset.missing=own or dataset.missing=refuse"
        )


def refuse_merged(merged: str) -> None:
    """Raises DataError if small groups would be merged, which counts rows."""
    if merged:
        raise refuse(
            f"{merged}, and dataset.scaling=declared counts no rows; declare coarser groups (bins "
            "of a number, a column with fewer levels), or give dataset.min_group=1"
        )


def refuse_many(name: str, levels: Sequence[str], most: int) -> None:
    """Raises DataError for more levels than that, which only counting rows could merge."""
    if len(levels) > most:
        raise refuse(
            f"column {name} has {len(levels):,} levels, and dataset.scaling=declared merges none; "
            f"declare which to keep: dataset.columns.{name}.levels=[...], drop the column, or "
            "raise dataset.max_levels"
        )


def _without_range(declared: DeclaredColumn) -> bool:
    low, high = declared.low, declared.high
    return low is None or high is None or low >= high
