"""Groups by several sensitive attributes: the products of their groups, small ones merged."""

from collections.abc import Sequence

import numpy as np

from trustbench.contracts import GroupRule
from trustbench.datasets.loading.own.groups import merge_small
from trustbench.datasets.loading.tabular import Groups
from trustbench.errors import DataError

SMALLEST = 30
"""Groups of fewer rows are merged, as those of a table of one's own are by default."""

Sensitive = str | tuple[str, ...]
"""One sensitive attribute, or several whose combinations are the groups."""


def attributes(dataset: str, given: Sensitive) -> tuple[str, ...]:
    """The names of the sensitive attributes.

    Raises:
        DataError: there is none, or one occurs twice.
    """
    names = (given,) if isinstance(given, str) else tuple(given)
    if not names or len(set(names)) < len(names):
        raise DataError(
            f"dataset {dataset}: sensitive=[{','.join(names)}] must name one attribute, or several "
            "different ones."
        )
    return names


def product(parts: Sequence[Groups], rows: int | None = None) -> Groups:
    """The combinations of several groupings of the same rows; one grouping is returned as it is.

    Combinations of fewer than SMALLEST rows are merged into one group called other, which the card
    of the data names. `rows` is the number of rows that a subsample keeps.
    """
    if len(parts) == 1:
        return parts[0]
    codes = np.stack([part.codes for part in parts])
    found, of = np.unique(codes, axis=1, return_inverse=True)
    of, n = np.ravel(of), codes.shape[1]
    levels = [[p.names[k] for p, k in zip(parts, cell, strict=True)] for cell in found.T]
    names = [", ".join(f"{p.name} {v}" for p, v in zip(parts, v, strict=True)) for v in levels]
    smallest = -(-SMALLEST * n // min(rows or n, n))
    place, kept, _ = merge_small(np.bincount(of), names, smallest)
    return Groups(
        name=" x ".join(part.name for part in parts),
        names=tuple(kept),
        codes=place[of],
        levels=np.array(names, dtype=object)[of],
        rule=_rule(parts, [" | ".join(v) for v in levels], place.tolist()),
    )


def _rule(
    parts: Sequence[Groups], labels: Sequence[str], places: Sequence[int]
) -> GroupRule | None:
    rules = [part.rule for part in parts]
    columns = [column for rule in rules if rule is not None for column in rule.columns]
    if len(columns) < len(parts):
        return None
    return GroupRule(tuple(columns), dict(zip(labels, places, strict=True)))
