"""Copies, groups and inputs that differ between the parts of a split."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from trustbench.contracts import Array, SplitName
from trustbench.datasets.loading.own.findings import SMALL_GROUP, TableFinding, percent

RARE_RATE = 0.02
DRIFT, SURE = 0.2, 4.0
"""A mean moves by this many deviations, and by this many standard errors."""


def copied(rows: int, total: int, crossing: int) -> TableFinding:
    """Rows that repeat others; a leak only if copies are in different parts."""
    text = f"{rows:,} of {total:,} rows repeat another row's inputs and class"
    if not crossing:
        return TableFinding("note", f"{text}; copies are in one part")
    return TableFinding(
        "copies",
        f"{text}, and {crossing:,} of them have a copy in another part of the split; give "
        "dataset.split.duplicates=together to keep copies in one part",
    )


def group_rates(
    y: Array, group: Array, classes: Sequence[str], groups: Sequence[str], test: Array
) -> Iterator[TableFinding]:
    """Groups in which a class hardly occurs, and groups too small to measure."""
    for k, name in enumerate(groups):
        rows = group == k
        share = np.bincount(y[rows], minlength=len(classes)) / max(1, rows.sum())
        for c, label in enumerate(classes):
            binary = len(classes) == 2
            if (c == 1 or not binary) and (
                share[c] > 1 - RARE_RATE or (binary and share[c] < RARE_RATE)
            ):
                yield TableFinding(
                    "group",
                    f"{percent(float(share[c]))} of the {rows.sum():,} rows of group {name} are "
                    f"of class {label}, so error rates within it rest on few rows",
                )
        tested = int((group[test] == k).sum())
        if tested < SMALL_GROUP:
            yield TableFinding(
                "group",
                f"group {name} has {tested} test rows, so its intervals are wide; merge it with "
                f"dataset.min_group, or use more rows",
            )


def drift(
    X: Array,
    y: Array,
    names: Sequence[str],
    classes: Sequence[str],
    parts: Mapping[SplitName, Array],
) -> Iterator[TableFinding]:
    """Inputs and classes whose mean differs between the training part and the test set.

    `names` [d] are the inputs in words; X is scaled by the training part.
    """
    train, test = X[parts["train"]], X[parts["test"]]
    means = test.mean(axis=0, dtype=np.float64) - train.mean(axis=0, dtype=np.float64)
    spread = np.maximum(train.std(axis=0, dtype=np.float64), 1e-12)
    moved = means / spread
    for j in np.argsort(-np.abs(moved)):
        if abs(moved[j]) < max(DRIFT, SURE * (1 / len(train) + 1 / len(test)) ** 0.5):
            break
        yield TableFinding(
            "drift",
            f"{names[j]} differs between training part and test set: its mean moves by "
            f"{moved[j]:+.2f} standard deviations",
        )
    for c, label in enumerate(classes):
        a, b = ((y[parts[s]] == c).mean() for s in ("train", "test"))
        error = (a * (1 - a) * (1 / len(train) + 1 / len(test))) ** 0.5
        if c and abs(a - b) > max(0.05, SURE * error):
            yield TableFinding(
                "drift",
                f"class {label} makes up {100 * a:.1f} % of the training part and {100 * b:.1f} % "
                "of the test set",
            )
