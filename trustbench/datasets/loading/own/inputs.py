"""The inputs of a table: the rules of its columns, and what attacks may do to each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from trustbench.contracts import Array, CategoryColumn, Feature, NumberColumn
from trustbench.contracts.encoding import ColumnRule
from trustbench.datasets.loading.own.declared import (
    Change,
    DeclaredColumn,
    DeclaredTable,
    Kind,
)
from trustbench.datasets.loading.own.kinds import ColumnBlock
from trustbench.datasets.loading.own.rules import GIVEN, MISSING, Learning, LearntColumn, learn


@dataclass(frozen=True)
class InputColumns:
    """The raw columns that become inputs, by kind, and how a person could change each."""

    kinds: Mapping[str, Kind]
    blocks: Sequence[ColumnBlock]
    declared: Mapping[str, DeclaredColumn]
    changes: Mapping[str, Change]
    bounded: bool = False
    """Whether declared bounds scale every number to [-1, 1], for any rows."""

    @property
    def names(self) -> list[str]:
        """All raw columns that become inputs, those of embeddings last."""
        return [*self.kinds, *(name for block in self.blocks for name in block.columns)]

    def of(self, name: str) -> DeclaredColumn:
        """What is declared about a column."""
        return self.declared.get(name, DeclaredColumn())


class Inputs(NamedTuple):
    """The rules of the inputs in their order, and in words what is done about missing values."""

    rules: tuple[ColumnRule, ...]
    missing: tuple[str, ...]


def change_of(name: str, declared: DeclaredTable) -> Change:
    """How a person could change a column: as declared; a sensitive one not at all."""
    own = declared.columns.get(name, DeclaredColumn()).change
    if own is not None:
        return own
    fixed = name in declared.immutable or name in declared.sensitive
    if declared.actionable:
        fixed = name not in declared.actionable
    return "none" if fixed else "any"


def learn_inputs(table: pd.DataFrame, columns: InputColumns, how: Learning) -> Inputs:
    """Learns the rules of all columns; those of an embedding follow each other, at the end."""
    learnt: list[LearntColumn] = [
        learn(table[name], kind, columns.of(name), how) for name, kind in columns.kinds.items()
    ]
    learnt += [
        LearntColumn((NumberColumn(name, 0.0, 1.0),))
        if how.declared  # a frozen model's features are taken as they are
        else learn(table[name], "number", DeclaredColumn(), how)
        for block in columns.blocks
        for name in block.columns
    ]
    rules = tuple(rule for one in learnt for rule in one.rules)
    return Inputs(rules, tuple(one.note for one in learnt if one.note))


def features_of(
    rules: Sequence[ColumnRule],
    places: Sequence[tuple[int, ...]],
    columns: InputColumns,
    seen: Array,
) -> tuple[Feature, ...]:
    """The features of inputs; `seen` [m, d] are the rows whose range an attack may substitute."""
    owner = {name: block for block in columns.blocks for name in block.columns}
    found: list[Feature] = []
    embedded: dict[str, list[int]] = {}
    for rule, place in zip(rules, places, strict=True):
        if rule.name in owner:
            embedded.setdefault(owner[rule.name].name, []).extend(place)
        else:
            found.extend(_features(rule, place, columns, seen))
    return (*found, *(_embedding(name, place, seen) for name, place in embedded.items()))


def _embedding(name: str, place: Sequence[int], seen: Array) -> Feature:
    values = seen[:, list(place)]
    low, high = float(values.min()), float(values.max())
    return Feature(name, "embedding", tuple(place), low, high, scale=0.0)


def _features(
    rule: ColumnRule, place: tuple[int, ...], columns: InputColumns, seen: Array
) -> Iterator[Feature]:
    declared = columns.of(rule.name)
    change = columns.changes.get(rule.name, "any")
    direction: Literal["any", "up", "down"] = "any" if change == "none" else change
    mutable, scale = change != "none", declared.scale
    if isinstance(rule, CategoryColumn):
        yield Feature(rule.name, "categorical", place, 0.0, 1.0, mutable, scale or 0.0, rule.levels)
        return
    # between two places of an ordered category, or two months, there is nothing
    default = 0.0 if rule.levels or rule.part else 1.0
    low, high = (-1.0, 1.0) if columns.bounded else _ends(rule, declared, seen[:, place[0]])
    name = rule.name if rule.part is None else f"{rule.name}.{rule.part}"
    yield Feature(
        name, "numeric", place[:1], low, high, mutable,
        default if scale is None else scale, change=direction,
    )  # fmt: skip
    if rule.indicator:
        flag = (GIVEN, MISSING)
        yield Feature(
            f"{rule.name} is missing", "categorical", place[1:], 0.0, 1.0, mutable, 0.0, flag
        )


def _ends(rule: NumberColumn, declared: DeclaredColumn, seen: Array) -> tuple[float, float]:
    """The bounds of a number as the model sees it: the declared ones, else those that occur."""
    low, high = float(seen.min()), float(seen.max())
    if declared.low is not None:
        low = float(np.float32((declared.low - rule.mean) / rule.deviation))
    if declared.high is not None:
        high = float(np.float32((declared.high - rule.mean) / rule.deviation))
    return low, high
