"""`trustbench report`: the table with its evidence as one HTML file."""

import sys
from collections.abc import Sequence
from pathlib import Path

from trustbench.commands.parsing import add_config_dir, add_store, existing_store, parser
from trustbench.commands.summarize import DEFAULT_TABLE, find_table, from_server, from_store
from trustbench.errors import UserError
from trustbench.records import Record, Store, Sweep, write_atomically
from trustbench.summary.report import document
from trustbench.summary.results import TableResult
from trustbench.summary.table import summarize

LARGEST = 5_000_000
"""Bytes beyond which a report is kept on disk only."""


def main(args: Sequence[str]) -> int:
    """0 once the report is written."""
    p = parser("report", "One self-contained HTML file: table, cells, curves, provenance.")
    add_store(p)
    add_config_dir(p)
    p.add_argument("--experiment", metavar="NAME", help="read this experiment's last sweep only")
    p.add_argument("--table", metavar="NAME|FILE", help="default: the sweep's own")
    p.add_argument("--output", metavar="FILE", default="report.html", help="default report.html")
    given = p.parse_args(args)
    if given.tracking_uri:
        # a server gives records; their arrays are read where --from has them
        store = Store(Path(given.folder).expanduser())
        sweep, records = from_server(store, given.tracking_uri, given.experiment)
    else:
        store = existing_store(given.folder)
        sweep, records = from_store(store, given.experiment)
    if sweep is not None:
        records = [r for r in records if r.id in set(sweep.arms)]
    table = find_table(given.table or (sweep.table if sweep else DEFAULT_TABLE), given.config_dir)
    evaluations = sweep.evaluations if sweep else None
    results = summarize(records, table, evaluations)
    experiment = sweep.experiment if sweep else None
    text = document(results, records, evaluations, store.arrays, experiment)
    path = Path(given.output).expanduser().absolute()
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UserError(f"--output {given.output} cannot be written: {error}.") from error
    print(f"report: {path}", file=sys.stderr)  # noqa: T201
    return 0


def write_report(
    results: Sequence[TableResult], records: Sequence[Record], store: Store, sweep: Sweep
) -> Path | None:
    """Writes the report of a sweep beside its tables; None where it is too large to be shared."""
    text = document(results, records, sweep.evaluations, store.arrays, sweep.experiment).encode()
    path = store.table_file(sweep.experiment, "html")
    write_atomically(path, text)
    return path if len(text) <= LARGEST else None
