"""The rules by which raw columns become inputs: learnt on the training pool, for any row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from trustbench.contracts import Array, CategoryColumn, NumberColumn
from trustbench.contracts.encoding import ColumnRule
from trustbench.contracts.shortening import listed
from trustbench.datasets.loading.own.declared import DeclaredColumn, Kind, Missing
from trustbench.datasets.loading.own.declared_scaling import refuse_learning, scaled_by_bounds
from trustbench.datasets.loading.own.names import unused_name
from trustbench.datasets.loading.own.settings import TableError
from trustbench.datasets.loading.own.values import (
    Series,
    find_level,
    level_name,
    number_text,
    spellings,
)
from trustbench.datasets.loading.tabular import standardise

GIVEN, MISSING, OTHER = "given", "missing", "other"


@dataclass(frozen=True)
class Learning:
    """How rules are learnt: from which rows, what missing values mean, which levels are merged.

    Levels with fewer than `min_level` rows in the pool, and those beyond the `max_levels` most
    frequent, are merged into one. With `declared` nothing is learnt: numbers are scaled by declared
    bounds, levels are those declared, and there is room for a missing value whether or not one is.
    """

    pool: Array
    missing: Missing
    min_level: int
    max_levels: int
    declared: bool = False


class LearntColumn(NamedTuple):
    """The rules of one raw column, and in words what they do with missing and rare values."""

    rules: tuple[ColumnRule, ...]
    note: str = ""


def learn(values: Series, kind: Kind, declared: DeclaredColumn, how: Learning) -> LearntColumn:
    """Learns how one raw column becomes inputs.

    Raises:
        DataError: values are missing and refused, out of their declared range, or not among the
            declared levels.
    """
    how = replace(how, missing=declared.missing or how.missing)
    if how.declared:
        refuse_learning(str(values.name), how.missing)
    if kind == "category":
        return _category(values, declared, how)
    if kind != "date":
        plain = _plain_number(values, kind, declared)
        rule, note = _number(plain, values, how, declared)
        return LearntColumn((rule,), note)
    first, *rest = (
        _number(NumberColumn(str(values.name), 0.0, 1.0, part=part), values, how, declared)
        for part in declared.parts
    )
    # the parts of a date are missing together, so one indicator is enough
    return LearntColumn((first[0], *(replace(rule, indicator=False) for rule, _ in rest)), first[1])


def _plain_number(values: Series, kind: Kind, declared: DeclaredColumn) -> NumberColumn:
    """The rule of a number or an ordered category, before anything is learnt."""
    levels = _order(values, declared) if kind == "ordered" else ()
    ends = (declared.low, declared.high) if declared.clip else (None, None)
    rule = NumberColumn(str(values.name), 0.0, 1.0, levels=levels, low=ends[0], high=ends[1])
    if not declared.clip:
        _refuse_outside(rule.numbers(values), str(values.name), declared)
    return rule


def _number(
    rule: NumberColumn, values: Series, how: Learning, declared: DeclaredColumn
) -> tuple[NumberColumn, str]:
    numbers = rule.numbers(values)
    _refuse_infinite(numbers, rule.name)
    absent, note = int(np.isnan(numbers).sum()), ""
    if how.declared:
        if absent:
            _refuse_missing(rule.name, absent, how.missing)
            note = f"{rule.name} {absent:,} (the middle of its bounds and an indicator)"
        return scaled_by_bounds(rule, declared, marked=how.missing == "own"), note
    if absent:
        _refuse_missing(rule.name, absent, how.missing)
        known = numbers[how.pool][~np.isnan(numbers[how.pool])]
        if not len(known):
            raise TableError(
                f"column {rule.name} has no value in the whole training part, so nothing is known "
                f"about it; leave it out: dataset.drop=[{rule.name}]"
            )
        fill, marked = float(np.median(known)), how.missing == "own"
        numbers = np.where(np.isnan(numbers), fill, numbers)
        note = f"{rule.name} {absent:,} (median {fill:g}{' and an indicator' if marked else ''})"
        rule = replace(rule, fill=fill, indicator=marked)
    _, mean, deviation = standardise(numbers, how.pool)
    return replace(rule, mean=mean, deviation=deviation), note


def _category(values: Series, declared: DeclaredColumn, how: Learning) -> LearntColumn:
    name = str(values.name)
    position, distinct = pd.factorize(values, use_na_sentinel=True)
    found = [level_name(value) for value in distinct]
    counts = np.bincount(position[how.pool] + 1, minlength=len(found) + 1)[1:]
    if declared.levels:
        meant = [find_level(level, found) or level_name(level) for level in declared.levels]
        levels, other = list(dict.fromkeys(meant)), None
        _refuse_unknown(name, found, levels)
    else:
        levels, other = _frequent(found, counts, how)
    absent, missing, note = int((position < 0).sum()), None, ""
    if absent:
        _refuse_missing(name, absent, how.missing)
    if absent or (how.declared and how.missing == "own"):
        missing = unused_name(MISSING, levels)
        if how.missing == "impute":
            top = found[int(np.argmax(counts))]
            missing = top if top in levels else other
        else:
            levels = [*levels, missing]
        note = f"{name} {absent:,} (level {missing})" if absent else ""
    codes = spellings(levels) if pd.api.types.is_bool_dtype(values) else {}
    rule = CategoryColumn(name, tuple(levels), codes, missing=missing, other=other)
    return LearntColumn((rule,), note)


def _frequent(found: list[str], counts: Array, how: Learning) -> tuple[list[str], str | None]:
    """(levels in order, the one for all others or None); the most frequent levels are kept."""
    by_size = sorted(range(len(found)), key=lambda k: (-counts[k], found[k]))
    kept = [k for k in by_size if counts[k] >= how.min_level]
    if len(found) <= how.max_levels and len(kept) >= len(found) - 1:
        return sorted(found), None  # a level merged alone would only lose its name
    names = sorted(found[k] for k in kept[: how.max_levels - 1])
    other = unused_name(OTHER, names)
    return [*names, other], other


def merged_levels(values: Series, rule: CategoryColumn) -> tuple[int, int]:
    """(levels, rows) of a raw column that its rule merges into one."""
    counts = values.dropna().map(level_name).value_counts()
    rare = counts[~counts.index.isin(rule.levels)]
    return len(rare), int(rare.sum())


def _order(values: Series, declared: DeclaredColumn) -> tuple[str, ...]:
    if declared.levels:
        return tuple(level_name(level) for level in declared.levels)
    numbers = np.unique(values.dropna().to_numpy(dtype=np.float64))
    return tuple(number_text(float(v)) for v in numbers)


def _refuse_unknown(name: str, found: Sequence[str], levels: Sequence[str]) -> None:
    unknown = [repr(n) for n in found if n not in levels]
    if unknown:
        raise TableError(
            f"column {name} holds {listed(unknown)}, not among its declared levels "
            f"({listed(list(levels))}); correct the file, or add to dataset.columns.{name}.levels"
        )


def _refuse_missing(name: str, rows: int, missing: Missing) -> None:
    if missing == "refuse":
        raise TableError(
            f"column {name} has no value in {rows:,} rows, and missing values are refused; fill "
            f"them, or give dataset.columns.{name}.missing=own (a level or an indicator) or =impute"
        )


def _refuse_outside(numbers: Array, name: str, declared: DeclaredColumn) -> None:
    low = -np.inf if declared.low is None else declared.low
    high = np.inf if declared.high is None else declared.high
    outside = (numbers < low) | (numbers > high)
    if outside.any():
        raise TableError(
            f"column {name} has {int(outside.sum()):,} numbers outside of its declared range from "
            f"{low:g} to {high:g} (such as {numbers[outside][0]:g}); correct them, or move them to "
            f"its ends: dataset.columns.{name}.clip=true"
        )


def _refuse_infinite(numbers: Array, name: str) -> None:
    infinite = int(np.isinf(numbers).sum())
    if infinite:
        raise TableError(
            f"column {name} has infinite numbers in {infinite:,} rows; correct them, or declare "
            "them as missing: dataset.reading.missing=[inf]"
        )
