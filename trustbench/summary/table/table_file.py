"""The YAML file of a registered table: its schema, and its faults in sentences."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from trustbench.config.binding import shown
from trustbench.config.yaml_file import sentence
from trustbench.contracts.aspects import Aspect
from trustbench.errors import ConfigError, did_you_mean
from trustbench.store.records import Scalar, Strict

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
# The reference of a metric within an arm: another metric, or a number (a null of 0, say).
Against = Metric | float | None


class Beside(Strict):
    """A metric printed beside the primary one.

    Omitted keys are those of the cell: its `intervention` and operating point, its regime;
    `reference` names the intervention whose arm replaces the baseline.
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

    `unreliable_if` names a diagnostic that is above zero if the metric misleads. `sentence` says
    what the metric means to a reader who knows no metric names; by default the evaluator's own.
    """

    metric: Metric
    against: Against = None
    delta: Positive
    unacceptable: Positive
    regime: Regime = "tuned"
    secondary: tuple[Beside, ...] = ()
    unreliable_if: Metric | None = None
    sentence: str | None = None

    @field_validator("secondary", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        """A bare name is a metric without `against`."""
        if not isinstance(value, list):
            return value
        return [{"metric": v} if isinstance(v, str) else v for v in value]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.unacceptable < self.delta:
            raise ValueError(f"unacceptable {self.unacceptable} is below delta {self.delta}")
        return self


class RowEntry(Strict):
    """A source aspect: its canonical intervention and the dose that the table prints."""

    intervention: str
    operating_point: dict[str, Scalar] = Field(default_factory=dict)
    dose: str | None = None
    contrast: ContrastKind


class ColumnEntry(Measure):
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
    measure: ColumnEntry | None = None
    contrast: ContrastKind | None = None
    intervention: str | None = None
    reference: str | None = None
    operating_point: dict[str, Scalar] | None = None
    dose: str | None = None


class Plain(Strict):
    """A metric of an arm, and the metric that says what a plain logistic regression reaches."""

    metric: Metric
    logistic: Metric


class Floor(Strict):
    """An arm whose mean `metric` is not `above_chance` over 1 / C has learnt nothing.

    An arm that is below the logistic regression minus `margin` on every pair in `below` of its
    regime is below the floor, unless the regression's own `logistic` is at chance.
    """

    metric: Metric
    above_chance: Positive
    logistic: Metric
    margin: Positive
    below: dict[Regime, tuple[Plain, ...]]


class Mitigation(Strict):
    """A method meant to remove the harm of the cell (source, target).

    `by` is the list of methods of the arm that replaces `harmful`.
    """

    source: Aspect
    target: Aspect
    harmful: tuple[str, ...]
    by: tuple[str, ...]
    references: tuple[str, ...] = ()


class Sides(Strict):
    """What the two sides of a contrast within an arm share and differ in, in words."""

    metric: Metric
    against: Metric | float
    shared: str
    differ: str


class TableFile(Strict):
    """The file."""

    name: str
    version: int = 1
    description: str
    utility: Measure
    floor: Floor
    rows: dict[Aspect, RowEntry]
    columns: dict[Aspect, ColumnEntry]
    cells: dict[Aspect, dict[Aspect, CellEntry]]
    sides: tuple[Sides, ...] = ()
    mitigations: tuple[Mitigation, ...] = ()


def parse_file(data: Any, origin: str) -> TableFile:
    """Parses a YAML document into a file with all rows, columns and cells.

    Raises:
        ConfigError: every problem, each one sentence that begins with `origin`.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"table {origin}: expected keys and values, got {shown(data)}.")
    try:
        file = TableFile.model_validate(data)
    except ValidationError as error:
        told = [f"table {origin}: {_sentence(e)}" for e in _outermost(error.errors())]
        raise ConfigError(told) from error
    absent = [f"table {origin}: {problem}" for problem in _absent(file)]
    if absent:
        raise ConfigError(absent)
    return file


def _outermost(errors: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Without what is wrong below an unknown aspect, whose sentence says enough."""
    unknown = [e["loc"][:-1] for e in errors if e["type"] == "enum"]
    for e in errors:
        if e["type"] == "enum" or not any(e["loc"][: len(u)] == u for u in unknown):
            yield e


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


def _fields(where: tuple[int | str, ...]) -> list[str]:
    """The keys allowed in the part of the file at `where`."""
    parts: dict[str, type[Strict]] = {
        "rows": RowEntry,
        "columns": ColumnEntry,
        "utility": Measure,
        "floor": Floor,
        "cells": CellEntry,
        "mitigations": Mitigation,
        "sides": Sides,
    }
    model = parts[str(where[0])] if where else TableFile
    for key in where:
        if key in ("binary", "measure"):
            model = ColumnEntry if key == "measure" else Measure
        if key == "secondary":
            model = Beside
        if key == "below":
            model = Plain
    return list(model.model_fields)


def _sentence(error: ErrorDetails) -> str:
    """A problem found by pydantic, as a sentence."""
    path = [k for k in error["loc"] if k != "[key]"]
    if error["type"] == "enum":
        where = ".".join(map(str, path))
        return f"unknown aspect {where}; {did_you_mean(str(path[-1]), [a.value for a in Aspect])}"
    unknown = error["type"] == "extra_forbidden"
    return sentence(error, path, _fields(tuple(path[:-1])) if unknown else ())
