"""The registered table: what each of the 25 cells measures, fixed before anything runs.

A cell takes its row's intervention and its column's metric, unless it names its own. Whatever
the file does not say is an error.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from trustbench.aspects import Aspect
from trustbench.errors import ConfigError, did_you_mean
from trustbench.records import Scalar, Strict

Regime = Literal["tuned", "memorising"]
Expected = Literal["harm", "benefit", "mixed", "none"]
ContrastKind = Literal[
    "treated - baseline", "treated - reference", "released - not released", "observed - null"
]
WITHIN = ("released - not released", "observed - null")
"""Contrasts between two measurements of one arm."""
# <evaluator>/<measurement>
Metric = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+/[^\s/]+$")]
Positive = Annotated[float, Field(gt=0)]
# What a metric is measured against within an arm: another metric, or a number (a null of 0, say).
Against = Metric | float | None


class Beside(Strict):
    """A metric printed beside the primary one.

    What is not given is the cell's own: its `intervention` and operating point, its regime; and
    `reference` names the intervention whose arm stands in for the baseline.
    """

    metric: Metric
    against: Against = None
    intervention: str | None = None
    operating_point: dict[str, Scalar] | None = None
    reference: str | None = None
    regime: Regime | None = None

    @model_validator(mode="after")
    def _one_contrast(self) -> Self:
        if self.against is not None and self.reference is not None:
            raise ValueError("gives both `against` and `reference`; give one")
        return self


class Measure(Strict):
    """What is measured, and which differences matter: `delta` is the smallest of interest.

    `unreliable_if` names a diagnostic that is above zero where the metric misleads.
    """

    metric: Metric
    against: Against = None
    delta: Positive
    unacceptable: Positive
    regime: Regime = "tuned"
    secondary: tuple[Beside, ...] = ()
    unreliable_if: Metric | None = None

    @field_validator("secondary", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """A bare name stands for a metric without `against`."""
        if not isinstance(value, list):
            return value
        return [{"metric": v} if isinstance(v, str) else v for v in value]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.unacceptable < self.delta:
            raise ValueError(f"unacceptable {self.unacceptable} is below delta {self.delta}")
        return self


class Row(Strict):
    """A source aspect: its canonical intervention and the dose that the table prints."""

    intervention: str
    operating_point: dict[str, Scalar] = Field(default_factory=dict)
    dose: str | None = None
    contrast: ContrastKind


class Column(Measure):
    """A target aspect. On a task with two classes `binary` replaces the metric, if given."""

    binary: Measure | None = None

    def on(self, binary: bool) -> Measure:
        """The measure for a task."""
        return self.binary if binary and self.binary else self


class CellEntry(Strict):
    """A cell as the file writes it."""

    expected: Expected
    references: tuple[str, ...] = ()
    note: str | None = None
    needs: str | None = None
    measure: Column | None = None
    contrast: ContrastKind | None = None
    intervention: str | None = None
    reference: str | None = None
    operating_point: dict[str, Scalar] | None = None
    dose: str | None = None


class Floor(Strict):
    """An arm whose mean `metric` is not `above_chance` over 1 / C has learnt nothing."""

    metric: Metric
    above_chance: Positive


class Mitigation(Strict):
    """A method meant to remove the harm of the cell (source, target).

    `by` is the list of methods of the arm that stands in for `harmful`.
    """

    source: Aspect
    target: Aspect
    harmful: tuple[str, ...]
    by: tuple[str, ...]
    references: tuple[str, ...] = ()


class TableFile(Strict):
    """The file."""

    name: str
    version: int = 1
    description: str
    utility: Measure
    floor: Floor
    rows: dict[Aspect, Row]
    columns: dict[Aspect, Column]
    cells: dict[Aspect, dict[Aspect, CellEntry]]
    mitigations: tuple[Mitigation, ...] = ()


class Cell(Strict):
    """One resolved cell: the effect of `source`'s method on `target`, in units of harm."""

    source: Aspect
    target: Aspect
    intervention: str
    reference: str | None
    """The intervention whose arm stands in for the baseline; None: the baseline."""
    operating_point: dict[str, Scalar]
    dose: str | None
    """What is varied to see how the effect grows: a parameter of this method, or of another
    (`method.parameter`)."""
    contrast: ContrastKind
    expected: Expected
    references: tuple[str, ...]
    note: str | None
    needs: str | None
    column: Column | None
    """What is measured; None where the cell needs something first."""

    @property
    def dosed(self) -> tuple[str, ...]:
        """The methods whose arms make the dose curve."""
        other = self.dose.rpartition(".")[0] if self.dose else ""
        return (self.intervention, other) if other else (self.intervention,)

    def measure(self, binary: bool) -> Measure | None:
        """What is measured on a task, or None."""
        return self.column.on(binary) if self.column else None

    @property
    def diagonal(self) -> bool:
        """Whether this is a method's effect on its own aspect, a check that it was applied."""
        return self.source is self.target


class Table(Strict):
    """A registered table: 25 cells, the columns on their own, utility and its floor."""

    name: str
    version: int
    """Grows with every change of what a cell measures."""
    description: str
    utility: Measure
    floor: Floor
    columns: dict[Aspect, Column]
    cells: tuple[Cell, ...]
    mitigations: tuple[Mitigation, ...] = ()

    def cell(self, source: Aspect, target: Aspect) -> Cell:
        """The cell of an ordered pair of aspects."""
        return next(c for c in self.cells if (c.source, c.target) == (source, target))


def load_table(path: Path) -> Table:
    """The table in a YAML file; ConfigError with every problem in it, each one sentence."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"table {path} cannot be read: {error}. Give a YAML file.") from error
    return parse_table(data, str(path))


def parse_table(data: Any, origin: str) -> Table:
    """The table in a parsed YAML document; `origin` names it in error sentences."""
    if not isinstance(data, Mapping):
        raise ConfigError(f"table {origin}: expected keys and values, got {data!r}.")
    try:
        file = TableFile.model_validate(data)
    except ValidationError as error:
        raise ConfigError([f"table {origin}: {_sentence(e)}" for e in error.errors()]) from error
    problems = [*_absent(file)] or [*_contradictions(file)]
    if problems:
        raise ConfigError([f"table {origin}: {p}" for p in problems])
    return Table(
        name=file.name,
        version=file.version,
        description=file.description,
        utility=file.utility,
        floor=file.floor,
        columns=file.columns,
        cells=tuple(_resolve(file, s, t) for s in Aspect for t in Aspect),
        mitigations=file.mitigations,
    )


def _absent(file: TableFile) -> Iterator[str]:
    """A sentence for each row, column and cell that the file lacks."""
    for kind, given in (("rows", file.rows), ("columns", file.columns)):
        for aspect in Aspect:
            if aspect not in given:
                yield f"{kind}.{aspect} is missing; register all five aspects."
    for source in Aspect:
        for target in Aspect:
            if target not in file.cells.get(source, {}):
                yield f"cells.{source}.{target} is missing; register all 25 cells."


def _contradictions(file: TableFile) -> Iterator[str]:
    """A sentence for each cell whose entries exclude each other."""
    for source, row in file.cells.items():
        for target, entry in row.items():
            where = f"cells.{source}.{target}"
            if entry.needs is not None and entry.measure is not None:
                yield f"{where} gives both `measure` and `needs`; give one."
                continue
            cell = _resolve(file, source, target)
            measures = filter(None, (cell.measure(False), cell.measure(True)))
            inside = cell.contrast in WITHIN
            if any(inside != (m.against is not None) for m in measures):
                yield (
                    f"{where} has contrast {cell.contrast!r}; `against` goes with 'observed - "
                    "null' and 'released - not released', always and only with them."
                )
            if (cell.contrast == "treated - reference") != (cell.reference is not None):
                yield (
                    f"{where} has contrast {cell.contrast!r}; `reference` goes with 'treated - "
                    "reference', always and only with it."
                )


def _resolve(file: TableFile, source: Aspect, target: Aspect) -> Cell:
    """A cell with its row's and column's entries filled in."""
    row, entry = file.rows[source], file.cells[source][target]
    column = file.columns[target]
    if entry.measure is not None:
        column = entry.measure
    point = row.operating_point if entry.intervention is None else {}
    if entry.operating_point is not None:
        point = entry.operating_point
    return Cell(
        source=source,
        target=target,
        intervention=entry.intervention or row.intervention,
        reference=entry.reference,
        operating_point=point,
        dose=entry.dose or (row.dose if entry.intervention is None else None),
        contrast=entry.contrast or row.contrast,
        expected=entry.expected,
        references=entry.references,
        note=entry.note,
        needs=entry.needs,
        column=None if entry.needs is not None else column,
    )


def _fields(where: tuple[int | str, ...]) -> list[str]:
    """The keys allowed in the part of the file at `where`."""
    parts: dict[str, type[Strict]] = {
        "rows": Row,
        "columns": Column,
        "utility": Measure,
        "floor": Floor,
        "cells": CellEntry,
        "mitigations": Mitigation,
    }
    model = parts[str(where[0])] if where else TableFile
    for key in where:
        if key in ("binary", "measure"):
            model = Column if key == "measure" else Measure
        if key == "secondary":
            model = Beside
    return list(model.model_fields)


def _sentence(error: ErrorDetails) -> str:
    """One problem that pydantic found, as a sentence."""
    path = [k for k in error["loc"] if k != "[key]"]
    where, given = ".".join(map(str, path)), error["input"]
    if error["type"] == "extra_forbidden":
        return f"unknown key {where}; {did_you_mean(str(path[-1]), _fields(tuple(path[:-1])))}"
    if error["type"] == "missing":
        return f"{where} is missing; give it."
    if error["type"] == "enum":
        return f"unknown aspect {where}; {did_you_mean(str(path[-1]), [a.value for a in Aspect])}"
    message = error["msg"].removeprefix("Value error, ")
    return (
        f"{where}: {message}." if isinstance(given, dict) else f"{where} is {given!r}; {message}."
    )
