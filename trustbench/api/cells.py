"""One cell of the table: what it measures, from everything that sweeps of the table measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trustbench import tracking
from trustbench.contracts.aspects import Aspect
from trustbench.errors import UserError, did_you_mean
from trustbench.store.records import Record, Store, Sweep
from trustbench.summary.render.cell import cell_text
from trustbench.summary.table.grouping import group_records
from trustbench.summary.table.registry import Table
from trustbench.summary.table.results import TableResult
from trustbench.summary.table.table import summarize


def cell_of(
    table: Table, source: str, target: str, folder: str | Path, uri: str | None = None
) -> str:
    """Describes the cell of two aspects: its measure, its numbers and its sources.

    Aspects are given by letter or name; raises UserError for unknown ones.
    """
    cell = aspect(source), aspect(target)
    results = measured(*_stored(Store(Path(folder).expanduser()), uri), table)
    return cell_text(table, *cell, results)


def aspect(name: str) -> Aspect:
    """Returns the aspect of a letter or a name.

    >>> aspect("p"), aspect("fairness")
    (<Aspect.PRIVACY: 'privacy'>, <Aspect.FAIRNESS: 'fairness'>)
    """
    for each in Aspect:
        if name.lower() in (each.value, each.letter.lower()):
            return each
    known = [x for a in Aspect for x in (a.letter, a.value)]
    raise UserError(f"unknown aspect {name!r}; {did_you_mean(name, known)}")


def _stored(store: Store, uri: str | None) -> tuple[list[Record], list[Sweep]]:
    """The records and sweeps of a folder or server; empty without a folder."""
    if uri is not None:
        return list(tracking.fetch_records(store, uri)), tracking.fetch_sweeps(store, uri)
    if not store.root.is_dir():
        return [], []
    return list(store.records()), list(store.sweeps())


def measured(records: Sequence[Record], sweeps: Sequence[Sweep], table: Table) -> list[TableResult]:
    """The tables of everything that sweeps of this table measured.

    Sweeps are read together, so that an arm in several sweeps counts once. Sweeps that measured the
    same arms differently (other settings of an evaluator, another engine) stay apart.
    """
    found: list[_Reading] = []
    for sweep in sweeps:
        if sweep.table == table.name:
            _add(_Reading(frozenset(sweep.arms), frozenset(sweep.evaluations)), found, records)
    return [r for each in found for r in summarize(each.of(records), table, each.evaluations)]


@dataclass(frozen=True)
class _Reading:
    """The arms that are read together, and their evaluations."""

    arms: frozenset[str]
    evaluations: frozenset[str]

    def of(self, records: Sequence[Record]) -> list[Record]:
        return [r for r in records if r.id in self.arms]

    def comparable(self, records: Sequence[Record]) -> bool:
        try:
            groups = group_records(self.of(records), self.evaluations)
        except UserError:
            return False
        return not any(group.others for group in groups)


def _add(reading: _Reading, found: list[_Reading], records: Sequence[Record]) -> None:
    """Joins the first of `found` with which it is comparable, or starts a new one."""
    for k, other in enumerate(found):
        both = _Reading(other.arms | reading.arms, other.evaluations | reading.evaluations)
        if both.comparable(records):
            found[k] = both
            return
    found.append(reading)
