"""The groups of a table: levels, bins of numbers, and products of several columns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from trustbench.contracts import Array, GroupRule, SensitiveColumn
from trustbench.datasets.loading.own.declared import DeclaredColumn
from trustbench.datasets.loading.own.names import unused_name
from trustbench.datasets.loading.own.settings import TableError, TableSetting
from trustbench.datasets.loading.own.values import (
    bin_names,
    binned,
    is_date,
    is_number,
    levels_of,
    number_text,
    spellings,
)
from trustbench.datasets.loading.tabular import Groups

MOST_NUMBERS = 10
"""More different numbers than that are an amount, and need bins."""
EVERYONE = "everyone"
MISSING = "missing"
OTHER = "other"


class Part(NamedTuple):
    """The level of each row in one sensitive column, and how later rows get theirs."""

    code: Array
    names: list[str]
    rule: SensitiveColumn


class Grouped(NamedTuple):
    """The groups, and a sentence on those that were merged, or ''."""

    groups: Groups
    merged: str


def read_groups(
    table: pd.DataFrame,
    sensitive: Sequence[str],
    declared: Mapping[str, DeclaredColumn],
    smallest: int,
) -> Grouped:
    """The group of each row: the combination of its levels in the sensitive columns.

    Groups of fewer than `smallest` rows are merged into one, called other.

    Raises:
        DataError: a number has no bins, or fewer than two groups are large enough.
    """
    if not sensitive:
        everyone = np.zeros(len(table), dtype=np.int64)
        return Grouped(Groups("group", (EVERYONE,), everyone), "")
    parts = [_levels(table, name, declared.get(name, DeclaredColumn())) for name in sensitive]
    found, of = np.unique(np.stack([p.code for p in parts]), axis=1, return_inverse=True)
    levels = [[p.names[k] for p, k in zip(parts, column, strict=True)] for column in found.T]
    names = [_name(sensitive, each) for each in levels]
    place, names, merged = merge_small(np.bincount(np.ravel(of)), names, smallest)
    of = place[np.ravel(of)]
    if len(names) < 2:
        raise _too_few(sensitive, smallest, merged)
    places = {" | ".join(each): int(k) for each, k in zip(levels, place, strict=True)}
    rule = GroupRule(tuple(p.rule for p in parts), places)
    return Grouped(Groups(" x ".join(sensitive), tuple(names), of, rule=rule), merged)


def _too_few(sensitive: Sequence[str], smallest: int, merged: str) -> TableError:
    given = TableSetting("sensitive", f"[{','.join(sensitive)}]")
    if smallest == 1:
        return TableError(
            given, " gives one group only; give a column with two groups, or finer bins"
        )
    why = merged and f" ({merged})"
    return TableError(
        given,
        f" gives fewer than two groups of {smallest} or more rows{why}; give a column with two "
        "large groups, coarser bins, or a smaller ",
        TableSetting("min_group"),
    )


def _name(columns: Sequence[str], levels: Sequence[str]) -> str:
    """The name of a group; a level that is a number is not understood without its column."""
    if len(columns) == 1 and not levels[0].replace(".", "", 1).isdecimal():
        return levels[0]
    return ", ".join(f"{c} {level}" for c, level in zip(columns, levels, strict=True))


def _levels(table: pd.DataFrame, name: str, declared: DeclaredColumn) -> Part:
    """The levels of one column; a missing value is a level of its own."""
    values = table[name]
    if is_date(values):
        raise TableError(
            TableSetting("sensitive"),
            f" names {name}, which holds dates; give the file a column of groups, such as decades",
        )
    edges: tuple[float, ...] = ()
    if declared.bins:
        if not is_number(values):
            raise TableError(
                TableSetting("bins", column=name), f" cuts numbers, but {name} holds text"
            )
        code = binned(values.to_numpy(dtype=np.float64, na_value=np.nan), declared.bins)
        names = bin_names(declared.bins)
        # a bin begins at its cut, and a rule's bin ends at its edge
        edges = tuple(float(np.nextafter(cut, -np.inf)) for cut in declared.bins)
    else:
        code, names = levels_of(values)
        if is_number(values) and len(names) > MOST_NUMBERS:
            middle = number_text(round(float(values.median()), 3))
            raise TableError(
                TableSetting("sensitive"),
                f" names {name}, a number with {len(names):,} different values; cut it into "
                "groups: ",
                TableSetting("bins", f"[{middle}]", column=name),
            )
    labels = {n: n for n in names} | (
        spellings(names) if pd.api.types.is_bool_dtype(values) else {}
    )
    missing = None
    if (code < 0).any():
        missing = unused_name(MISSING, names)
        names = [*names, missing]
        code = np.where(code < 0, len(names) - 1, code)
    return Part(code, names, SensitiveColumn(name, labels, edges, missing))


def merge_small(sizes: Array, names: list[str], smallest: int) -> tuple[Array, list[str], str]:
    """(new place of each group, names, what was merged).

    The merged group takes in the next smallest one until it is large enough.
    """
    small = [int(k) for k in np.argsort(sizes, kind="stable") if sizes[k] < smallest]
    if not small:
        return np.arange(len(names)), names, ""
    larger = [int(k) for k in np.argsort(sizes, kind="stable") if k not in small]
    below = len(small)
    while larger and sizes[small].sum() < smallest:
        small.append(larger.pop(0))
    joined = " and ".join(names[k] for k in small[below:])
    sizes_text = ", ".join(f"{names[k]} {sizes[k]:,}" for k in sorted(small))
    kept = [k for k in range(len(names)) if k not in small]
    place = np.full(len(names), len(kept), dtype=np.int64)
    place[kept] = np.arange(len(kept))
    left = [names[k] for k in kept]
    other = names[small[0]] if len(small) == 1 else unused_name(OTHER, left)
    why = f" ({joined} too, so that {smallest} rows are reached)" if joined else ""
    return place, [*left, other], f"groups below {smallest} rows are merged: {sizes_text}{why}"
