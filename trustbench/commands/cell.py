"""`trustbench cell`: what one cell of the table measures, and its numbers at hand."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from trustbench.aspects import Aspect
from trustbench.commands.parsing import add_config_dir, add_store, parser
from trustbench.commands.summarize import DEFAULT_TABLE, find_table
from trustbench.errors import UserError, did_you_mean
from trustbench.records import Store
from trustbench.summary.registry import Table
from trustbench.summary.render.cell import cell_text
from trustbench.summary.results import TableResult
from trustbench.summary.table import summarize


def main(args: Sequence[str]) -> int:
    """0 once the cell is printed."""
    p = parser("cell", "What a cell measures, its numbers here, and its references.")
    p.add_argument("source", help="the aspect whose method is applied: P or privacy")
    p.add_argument("target", help="the aspect measured: F or fairness")
    add_store(p)
    add_config_dir(p)
    p.add_argument("--table", metavar="NAME|FILE", default=DEFAULT_TABLE)
    given = p.parse_args(args)
    table = find_table(given.table, given.config_dir)
    source, target = aspect(given.source), aspect(given.target)
    results = [*measured(Store(Path(given.folder).expanduser()), table)]
    print(cell_text(table, source, target, results))  # noqa: T201
    return 0


def aspect(name: str) -> Aspect:
    """The aspect of a letter or a name.

    >>> aspect("p"), aspect("fairness")
    (<Aspect.PRIVACY: 'privacy'>, <Aspect.FAIRNESS: 'fairness'>)
    """
    for each in Aspect:
        if name.lower() in (each.value, each.letter.lower()):
            return each
    known = [x for a in Aspect for x in (a.letter, a.value)]
    raise UserError(f"unknown aspect {name!r}; {did_you_mean(name, known)}")


def measured(store: Store, table: Table) -> Iterator[TableResult]:
    """A table for each data set that the store's sweeps of this table measured."""
    if not store.root.is_dir():
        return
    records, seen = list(store.records()), set[tuple[str, ...]]()
    for sweep in store.sweeps():
        if sweep.table != table.name:
            continue
        own = [r for r in records if r.id in set(sweep.arms)]
        for result in summarize(own, table, sweep.evaluations):
            key = tuple(sorted({i for c in result.cells for i in c.estimate.records}))
            if key and key not in seen:
                seen.add(key)
                yield result
