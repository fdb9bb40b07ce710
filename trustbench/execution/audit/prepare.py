"""Makes the table of an audit: classes, groups, and which rows the model has seen."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trustbench.contracts import Array
from trustbench.contracts.shortening import listed
from trustbench.datasets.loading.own.declared import DeclaredColumn, DeclaredTable
from trustbench.datasets.loading.own.groups import read_groups
from trustbench.datasets.loading.own.names import require_columns
from trustbench.datasets.loading.own.settings import TableError, TableSetting
from trustbench.datasets.loading.own.target import labelled_rows, read_target
from trustbench.errors import DataError, UserError
from trustbench.execution.audit.seen import Parts, parts_of
from trustbench.models.given.class_names import class_name, class_positions

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_FLAGS = ("target", "sensitive", "favourable")


@dataclass(frozen=True)
class Members:
    """Labelled rows that the model was trained on."""

    rows: "DataFrame"
    y: Array


@dataclass(frozen=True)
class AuditTable:
    """The table of an audit, and what is known about its rows.

    `rows` are what models are asked about: every column but the target and the split. `calibration`
    is the share of the unseen rows that calibrates prediction sets. `classes` has the favourable
    one of two last; `in_order` is how a model counts that does not name its classes.
    """

    name: str
    rows: "DataFrame"
    declared: DeclaredTable
    y: Array  # int64 [n]
    classes: tuple[str, ...]
    in_order: tuple[str, ...]
    group: Array  # int64 [n]
    groups: tuple[str, ...]
    group_name: str
    parts: Parts
    favoured: tuple[int, ...] = ()  # of three or more classes, the favourable ones, if declared
    assumed: bool = False  # nobody declared which of two is favourable
    members: Members | None = None
    calibration: float = 0.0
    written: tuple[object, ...] = ()
    """The classes in order as the target column holds them; their names where it is cut in bins."""


def prepared(
    table: "DataFrame",
    declared: DeclaredTable,
    *,
    name: str,
    train: "DataFrame | None" = None,
    unseen: bool = False,
    split_column: str | None = None,
    calibration: float = 0.0,
) -> AuditTable:
    """The table of an audit; the arguments are those of `trustbench.audit`.

    Raises:
        UserError: a column is missing or cannot be used.
    """
    with _in_flags():
        target = _target(table, declared)
        own = declared.columns.get(target, DeclaredColumn())
        found = read_target(table, target, own, declared.favourable)
        rows = labelled_rows(table, target, found.y, declared.unlabelled)
        table, y = table.iloc[rows].reset_index(drop=True), found.y[rows]
        require_columns(table, TableSetting("sensitive"), declared.sensitive)
        if target in declared.sensitive:
            raise DataError(
                f"dataset table: {target} is the target and a sensitive column; drop it from one."
            )
        grouped = read_groups(table, declared.sensitive, declared.columns, 1).groups
        require_columns(table, "--split-column", [split_column] if split_column else [])
    inputs = _without(table, [target, split_column])
    members = None
    coded = table.assign(**{target: y})
    if train is not None:
        train, members = _trained_on(train, target, found.classes, own)
    parts = parts_of(coded, train=train, unseen=unseen, split_column=split_column)
    return AuditTable(
        name=name,
        rows=inputs,
        declared=declared,
        y=y,
        classes=found.classes,
        in_order=found.in_order,
        group=np.asarray(grouped.codes),
        groups=grouped.names,
        group_name=grouped.name,
        parts=parts,
        favoured=found.favoured,
        assumed=found.assumed,
        members=members,
        calibration=calibration,
        written=_written(table[target], y, found.classes, binned=bool(own.bins)),
    )


def _written(
    values: "Series", y: Array, classes: Sequence[str], *, binned: bool
) -> tuple[object, ...]:
    """The first value of each class in the target column."""
    by_class = [] if binned else [values[y == k] for k in range(len(classes))]
    if binned or any(found.empty for found in by_class):
        return tuple(classes)
    return tuple(found.iloc[0] for found in by_class)


def _trained_on(
    train: "DataFrame", target: str, classes: Sequence[str], own: DeclaredColumn
) -> "tuple[DataFrame, Members | None]":
    """The training rows with the target as positions among the classes; those that have one.

    Raises:
        UserError: there are none, or their classes are others.
    """
    if not len(train):
        raise UserError("the training rows are an empty table; give the rows, or --unseen.")
    if target not in train.columns:
        return train, None
    if own.bins:
        cut = read_target(train, target, own, None)
        y = class_positions(np.array([*cut.classes, ""], dtype=object)[cut.y], classes)
    else:
        y = class_positions(train[target], classes)
    labelled = y >= 0
    if not labelled.any():
        there = listed(sorted({class_name(v) for v in train[target]}))
        raise UserError(
            f"the training rows have {there} as {target}, and the table {', '.join(classes)}; "
            "name the classes in the same way in both."
        )
    members = Members(_without(train.loc[labelled], [target]), y[labelled])
    return train.assign(**{target: y}), members


def _target(table: "DataFrame", declared: DeclaredTable) -> str:
    if declared.target is None:
        raise UserError("no column is named as the class to predict; give --target.")
    require_columns(table, TableSetting("target"), [declared.target])
    return declared.target


@contextmanager
def _in_flags() -> Iterator[None]:
    """Says what to do in the words of this command."""
    try:
        yield
    except TableError as error:
        raise DataError(error.worded(_flag)) from error


def _flag(setting: TableSetting) -> str:
    """A setting of a table as `trustbench audit` takes it: a flag, or a line of the schema.

    >>> _flag(TableSetting("sensitive", "[sex,age]")), _flag(TableSetting("target"))
    ('--sensitive sex,age', '--target')
    >>> _flag(TableSetting("bins", "[40]", column="age"))
    '`columns: {age: {bins: [40]}}` in --schema'
    """
    if setting.key in _FLAGS:
        value = "" if setting.value is None else f" {setting.value.strip('[]')}"
        return f"--{setting.key}{value}"
    line = setting.key if setting.value is None else f"{setting.key}: {setting.value}"
    if setting.column is not None:
        line = f"columns: {{{setting.column}: {{{line}}}}}"
    return f"`{line}` in --schema"


def _without(table: "DataFrame", columns: Sequence[str | None]) -> "DataFrame":
    return table.drop(columns=[c for c in columns if c is not None])
