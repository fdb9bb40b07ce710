"""Makes the table of an audit: classes, groups, and which rows the model has seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trustbench.contracts import Array
from trustbench.execution.audit.labels import Coded, read_classes, read_groups, require
from trustbench.execution.audit.seen import Parts, parts_of
from trustbench.models.given.class_names import class_positions

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Members:
    """Labelled rows that the model was trained on."""

    rows: "DataFrame"
    y: Array
    group: Array


@dataclass(frozen=True)
class AuditTable:
    """The table of an audit, and what is known about its rows.

    `rows` are what models are asked about: every column but the target and the split. `calibration`
    is the share of the unseen rows that calibrates prediction sets.
    """

    name: str
    rows: "DataFrame"
    target: str
    sensitive: tuple[str, ...]
    classes: Coded
    groups: Coded
    parts: Parts
    members: Members | None = None
    calibration: float = 0.0

    @property
    def group_name(self) -> str:
        """What the groups stand for."""
        return " x ".join(self.sensitive) or "group"


def prepared(
    table: "DataFrame",
    *,
    name: str,
    target: str,
    sensitive: tuple[str, ...] = (),
    favourable: str | None = None,
    train: "DataFrame | None" = None,
    unseen: bool = False,
    split_column: str | None = None,
    calibration: float = 0.0,
) -> AuditTable:
    """The table of an audit; the arguments are those of `trustbench.audit`.

    Raises:
        UserError: a column is missing or cannot be used.
    """
    classes, groups = read_classes(table, target, favourable), read_groups(table, sensitive)
    require(table, "--split-column", [split_column] if split_column else [])
    rows = _without(table, [target, split_column])
    parts = parts_of(table, train=train, unseen=unseen, split_column=split_column)
    members = None
    if train is not None and target in train.columns and set(rows.columns) <= set(train.columns):
        members = _members(train, rows, target, sensitive, classes, groups)
    return AuditTable(name, rows, target, sensitive, classes, groups, parts, members, calibration)


def _members(
    train: "DataFrame",
    rows: "DataFrame",
    target: str,
    sensitive: tuple[str, ...],
    classes: Coded,
    groups: Coded,
) -> Members:
    """The training rows of the table's classes and groups."""
    y = class_positions(train[target], classes.names)
    own = read_groups(train, sensitive)
    group = class_positions([own.names[k] for k in own.of], groups.names)
    kept = (y >= 0) & (group >= 0)
    return Members(train.loc[kept, list(rows.columns)], y[kept], group[kept])


def _without(table: "DataFrame", columns: Sequence[str | None]) -> "DataFrame":
    return table.drop(columns=[c for c in columns if c is not None])
