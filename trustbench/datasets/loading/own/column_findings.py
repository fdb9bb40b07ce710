"""Columns that give the class away, name rows, or hide everything else."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from trustbench.contracts import Array
from trustbench.datasets.loading.own.findings import SMALL_GROUP, TableFinding, percent
from trustbench.datasets.loading.own.values import (
    Series,
    has_two_values,
    is_date,
    is_number,
    levels_of,
    number_text,
)

NEAR, NEAR_ERRORS = 0.97, 0.2
"""A column is nearly the target if one rule on it agrees in this share of rows and leaves at most
this share of the errors of always answering the most frequent class."""
HALF_NEAR = 0.9
"""From here on, a rule that leaves less than half of those errors is worth a note."""
TAIL = 1000.0
SAMPLE = 200_000


def near_target(
    table: pd.DataFrame, names: Sequence[str], y: Array, target: str
) -> list[TableFinding]:
    """Columns of which one rule agrees with the target in nearly all rows, or in most of them."""
    if len(table) > SAMPLE:
        rows = np.linspace(0, len(table) - 1, SAMPLE).astype(np.int64)
        table, y = table.iloc[rows], y[rows]
    base = 1 - np.bincount(y).max() / len(y)
    found = []
    for name in names:
        agreement, rule = _best_rule(table[name], y)
        says = f"{rule} agrees with {target} in {percent(agreement)} of the rows"
        if agreement >= NEAR and 1 - agreement <= NEAR_ERRORS * base:
            found.append(
                TableFinding(
                    "leak",
                    f"{says}; if {name} is only known after the decision, leave it out: "
                    f"dataset.drop=[{name}]",
                )
            )
        elif agreement >= HALF_NEAR and 1 - agreement < base / 2:
            found.append(
                TableFinding(
                    "note",
                    f"{says}, where always answering the most frequent class does in "
                    f"{percent(float(1 - base))}; make sure that {name} is known before the "
                    "decision",
                )
            )
    return found


def _best_rule(values: Series, y: Array) -> tuple[float, str]:
    """(agreement, rule): the best cut of a number, or the majority of each level."""
    if not (is_number(values) or is_date(values)) or has_two_values(values.dropna()):
        position, names = levels_of(values)
        counts = np.zeros((len(names) + 1, int(y.max()) + 1))
        np.add.at(counts, (position, y), 1)
        # a level of few rows agrees by chance: it counts as the most frequent class
        rare = counts.sum(axis=1) < SMALL_GROUP
        hits = counts[~rare].max(axis=1).sum() + counts[rare].sum(axis=0).max(initial=0)
        return float(hits / len(y)), f"the level of {values.name}"
    return _best_cut(values, y)


def _best_cut(values: Series, y: Array) -> tuple[float, str]:
    numbers = (values.astype("int64") if is_date(values) else values).to_numpy(
        dtype=np.float64, na_value=np.nan
    )
    order = np.argsort(numbers, kind="stable")  # missing values are last
    ordered = numbers[order]
    hot = np.zeros((len(y), int(y.max()) + 1), dtype=np.int32)
    hot[np.arange(len(y)), y[order]] = 1
    below = hot.cumsum(axis=0)
    known = int((~np.isnan(ordered)).sum())
    if known < 2:
        return 0.0, ""
    absent = (below[-1] - below[known - 1]).max()
    hits = below[: known - 1].max(axis=1) + (below[known - 1] - below[: known - 1]).max(axis=1)
    hits[ordered[: known - 1] == ordered[1:known]] = 0  # no cut within equal numbers
    best = int(hits.argmax())
    cut = str(values.iloc[order[best]]) if is_date(values) else number_text(float(ordered[best]))
    return float((hits[best] + absent) / len(y)), f"{values.name} > {cut}"


def odd_columns(table: pd.DataFrame, names: Sequence[str]) -> Iterator[TableFinding]:
    """Columns that are constant, that name rows, or whose tail hides everything else."""
    for name in names:
        values = table[name]
        different = _different(values)
        if different <= 1:
            yield TableFinding(
                "constant",
                f"{name} has {different or 'no'} value{'s' if not different else ''} in all rows "
                f"and tells nothing; leave it out: dataset.drop=[{name}]",
            )
        elif _names_rows(values, different):
            yield TableFinding(
                "identifier",
                f"{name} has a different value in {percent(different / len(values))} of the rows "
                f"and looks like an identifier; leave it out: dataset.drop=[{name}]",
            )
        elif is_number(values):
            yield from _tail(values)
            yield from _code(values)


def _different(values: Series) -> int:
    """How many different values there are; of numbers with fractions, whether there are several.

    Counting those takes most of the time of a large table, and they never name rows.
    """
    if is_number(values):
        numbers = values.dropna().to_numpy(dtype=np.float64)
        if np.any(numbers % 1 != 0):
            return 1 + int(numbers.min() < numbers.max())
    return values.nunique()


def _names_rows(values: Series, different: int) -> bool:
    """Whether almost every row has a value of its own that is a text or counts rows.

    Numbers that count rows are whole, and dense, in order, or all of one length.
    """
    if different < 0.95 * len(values) or len(values) < SMALL_GROUP:
        return False
    if not is_number(values):
        return not is_date(values)
    numbers = values.dropna().to_numpy(dtype=np.float64)
    if different < len(values) or np.any(numbers % 1 != 0):
        return False
    low, high = numbers.min(), numbers.max()
    one_length = low >= 10_000 and len(number_text(low)) == len(number_text(high))
    return bool(high - low < 2 * len(numbers) or np.all(np.diff(numbers) > 0) or one_length)


def _tail(values: Series) -> Iterator[TableFinding]:
    numbers = values.dropna().to_numpy(dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    low, middle, high = np.quantile(numbers, [0.01, 0.5, 0.99])
    far = numbers[np.abs(numbers - middle).argmax()]
    times = abs(far - middle) / (high - low) if high > low else 0.0
    if times > TAIL:
        yield TableFinding(
            "tail",
            f"{values.name} reaches {far:g}, {times:,.0f} times the range of 98 % of its values "
            f"({low:g} to {high:g}); scaled, all others become one point, so correct it or cut it "
            f"off: dataset.columns.{values.name}.high={high:g} and clip=true",
        )


def _code(values: Series) -> Iterator[TableFinding]:
    """A number such as -9 or 999 that stands apart from all others and occurs more than once."""
    numbers = values.dropna().to_numpy(dtype=np.float64)
    low, high = numbers.min(), numbers.max()
    for code, rest in ((low, numbers > low), (high, numbers < high)):
        digits = set(number_text(abs(float(code))))
        times, others = int((~rest).sum()), numbers[rest]
        below = code < 0 and others.min() >= 0
        above = code >= 99 and code > 3 * max(others.max(), 1.0)
        if times > 1 and len(digits) == 1 and digits <= {"1", "9"} and (below or above):
            yield TableFinding(
                "code",
                f"{values.name} is {code:g} in {times:,} rows and {others.min():g} to "
                f"{others.max():g} in all others; if that means missing, declare it: "
                f"dataset.reading.missing.{values.name}=[{code:g}]",
            )
