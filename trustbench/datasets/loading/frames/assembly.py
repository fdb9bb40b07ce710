"""Puts typed columns together: names that occur twice, the index, the frame."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from trustbench.datasets.loading.frames.reading import OTHERS, Frame, Reading
from trustbench.datasets.loading.frames.typed import Typed
from trustbench.errors import DataError, did_you_mean

C = TypeVar("C")


def distinct(
    origin: str,
    columns: Sequence[tuple[str, C]],
    equal: Callable[[C, C], bool],
    why: dict[str, str],
) -> dict[str, C]:
    """The columns by name; a name may occur twice if both columns hold the same.

    Raises:
        DataError: two columns of one name differ.
    """
    found: dict[str, C] = {}
    for name, column in columns:
        if name not in found:
            found[name] = column
        elif equal(found[name], column):
            why[f"column {name}"] = "it occurs twice with the same values and is read once"
        else:
            raise DataError(
                f"{origin} has several columns named {name!r}, and they differ; rename them in the "
                "file, or give all names with reading.names=[...]."
            )
    return found


def refuse_unknown_columns(declared: Reading, columns: Collection[str]) -> None:
    """Raises DataError if a declaration names a column that is not there."""
    missing = declared.missing if isinstance(declared.missing, Mapping) else {}
    named = {
        "types": declared.types, "dates": declared.dates, "booleans": declared.booleans,
        "missing": [name for name in missing if name != OTHERS],
        "index": [declared.index] if isinstance(declared.index, str) else [],
    }  # fmt: skip
    for field, names in named.items():
        for name in names:
            if name not in columns:
                raise DataError(
                    f"reading.{field} names the column {name!r}, which the table does not have; "
                    f"{did_you_mean(name, columns)}"
                )


def index_of(
    columns: Mapping[str, Typed], declared: Reading, unnamed: Collection[str], why: dict[str, str]
) -> str | None:
    """The column that only names rows: as declared, else the first one without a name; or None."""
    if isinstance(declared.index, str):
        why["index"] = f"{declared.index}, as declared"
        return declared.index
    if declared.index is not None:
        return None
    first = next((name for name in columns if name in unnamed), None)
    if first is None or len(columns) < 2:
        return None
    values = pd.Series(columns[first].values)
    if values.isna().any() or not values.is_unique:
        return None
    why["index"] = f"{first}, which has no name and another value in each row, is not a column"
    return first


def assemble(
    columns: Mapping[str, Typed],
    form: Reading,
    declared: Reading,
    index: str | None,
    why: dict[str, str],
    doubts: dict[str, str],
) -> Frame:
    """The frame of typed columns, with all that was understood of them."""
    for name, column in columns.items():
        if column.doubt:
            doubts.setdefault(name, column.doubt)
        missing = f"missing is also written {', '.join(map(repr, column.missing))}"
        reasons = [column.why, missing if column.missing else ""]
        if any(reasons):
            why[f"column {name}"] = "; ".join(
                filter(None, (why.get(f"column {name}", ""), f"read as {column.type}", *reasons))
            )
    data = {n: pd.Series(c.values, dtype=c.dtype) for n, c in columns.items() if n != index}
    table = pd.DataFrame(data, copy=False)
    if index is not None:
        table.index = pd.Index(_whole(columns[index].values))
    kept = {name: column for name, column in columns.items() if name != index}
    understood = replace(
        form,
        index=index or False,
        types={name: column.type for name, column in columns.items()},
        dates={**declared.dates, **{n: c.form for n, c in kept.items() if c.form}},
        booleans={**declared.booleans, **{n: c.pair for n, c in kept.items() if c.pair}},
        missing=_missing(declared, kept),
    )
    return Frame(table, understood, why, doubts)


def _missing(declared: Reading, columns: Mapping[str, Typed]) -> Any:
    if declared.missing is not None and not isinstance(declared.missing, Mapping):
        return declared.missing
    sniffed = {name: column.missing for name, column in columns.items() if column.missing}
    return {**sniffed, **(declared.missing or {})}


def _whole(values: Any) -> Any:
    """Row names as whole numbers if they are."""
    array = np.asarray(values)
    if array.dtype.kind in "bf" and np.all(array == np.floor(array)):
        return array.astype(np.int64)
    return values
