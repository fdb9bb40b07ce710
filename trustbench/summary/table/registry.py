"""The registered table: what each of the 25 cells measures, fixed before anything runs.

A cell takes its row's intervention and its column's metric, unless it names its own. Anything
missing in the file is an error.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import Field

from trustbench.contracts.aspects import Aspect
from trustbench.contracts.metrics import Metric, Metrics, find_in
from trustbench.errors import ConfigError
from trustbench.store.records import Scalar, Strict
from trustbench.summary.table.extending import read_table
from trustbench.summary.table.table_file import (
    WITHIN,
    Beside,
    ColumnEntry,
    ContrastKind,
    Expected,
    Floor,
    Measure,
    Mitigation,
    RowEntry,
    Sides,
    TableFile,
    parse_file,
)

__all__ = [
    "Beside",
    "Cell",
    "ColumnEntry",
    "Measure",
    "Mitigation",
    "Sides",
    "Table",
    "load_table",
    "parse_table",
]


class Cell(Strict):
    """One resolved cell: the effect of `source`'s method on `target`, in units of harm."""

    source: Aspect
    target: Aspect
    intervention: str
    reference: str | None
    """The intervention whose arm replaces the baseline; None: the baseline."""
    operating_point: dict[str, Scalar]
    dose: str | None
    """The varied dose: a parameter of this method, or of another (`method.parameter`)."""
    contrast: ContrastKind
    expected: Expected
    references: tuple[str, ...]
    note: str | None
    needs: str | None
    column: ColumnEntry | None
    """What is measured; None if the cell needs something first."""

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
    """A registered table: 25 cells, the rows and columns on their own, utility and its floor."""

    name: str
    version: int
    """Increased whenever the measurement of a cell changes."""
    description: str
    utility: Measure
    floor: Floor
    rows: dict[Aspect, RowEntry]
    columns: dict[Aspect, ColumnEntry]
    cells: tuple[Cell, ...]
    sides: tuple[Sides, ...] = ()
    mitigations: tuple[Mitigation, ...] = ()
    declared: dict[str, Metrics] = Field(default_factory=dict, exclude=True, repr=False)
    """What each evaluator declares of its metrics, if that is known here; not in the file."""

    def explained(self, metrics: Iterable[str]) -> dict[str, Metric]:
        """The declarations of those metrics that have one here."""
        found = {name: find_in(self.declared, name) for name in metrics}
        return {name: metric for name, metric in found.items() if metric is not None}

    def of_sides(self, metric: str, against: str | float) -> Sides | None:
        """What the two sides of a contrast within an arm share and differ in, if stated."""
        return next((s for s in self.sides if (s.metric, s.against) == (metric, against)), None)

    def cell(self, source: Aspect, target: Aspect) -> Cell:
        """The cell of an ordered pair of aspects."""
        return next(c for c in self.cells if (c.source, c.target) == (source, target))


def load_table(path: Path, known: Mapping[str, Path] = MappingProxyType({})) -> Table:
    """Reads a table from a YAML file; raises ConfigError with every problem, one sentence each.

    `known` are the files of the tables that it may extend, by name, beside those of its folder.
    """
    return parse_table(read_table(path, known), str(path))


def parse_table(data: Any, origin: str) -> Table:
    """Parses a table from a YAML document; `origin` names it in error sentences."""
    file = parse_file(data, origin)
    problems = [f"table {origin}: {problem}" for problem in _contradictions(file)]
    if problems:
        raise ConfigError(problems)
    return Table(
        name=file.name,
        version=file.version,
        description=file.description,
        utility=file.utility,
        floor=file.floor,
        rows=file.rows,
        columns=file.columns,
        cells=tuple(_resolve(file, s, t) for s in Aspect for t in Aspect),
        sides=file.sides,
        mitigations=file.mitigations,
    )


def _contradictions(file: TableFile) -> Iterator[str]:
    """A sentence for each cell with contradictory entries."""
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
