"""`trustbench report`: the table with its evidence as one HTML file."""

import sys
from collections.abc import Sequence
from pathlib import Path

from trustbench.commands.lookup import DEFAULT_TABLE, find_policy, find_table
from trustbench.commands.output import write_file
from trustbench.commands.parsing import add_config_dir, add_evaluation, add_store, parser
from trustbench.commands.read_records import read
from trustbench.store.files import write_atomically
from trustbench.store.records import Record, Store, Sweep
from trustbench.summary.report import document
from trustbench.summary.table.results import TableResult
from trustbench.summary.table.table import summarize

LARGEST = 5_000_000
"""Bytes beyond which a report is kept on disk only."""


def main(args: Sequence[str]) -> int:
    """0 once the report is written."""
    p = parser("report", "One self-contained HTML file: table, cells, curves, provenance.")
    add_store(p)
    add_config_dir(p)
    add_evaluation(p)
    p.add_argument("--experiment", metavar="NAME", help="read this experiment's last sweep only")
    p.add_argument("--table", metavar="NAME|FILE", help="default: the sweep's own")
    p.add_argument(
        "--policy", metavar="NAME|FILE", help="risks by its weights and bands (list policies)"
    )
    p.add_argument("--output", metavar="FILE", default="report.html", help="default report.html")
    given = p.parse_args(args)
    policy = find_policy(given.policy, given.config_dir) if given.policy else None
    stored = read(given)
    name = given.table or (stored.sweep.table if stored.sweep else DEFAULT_TABLE)
    results = summarize(stored.arms, find_table(name, given.config_dir), stored.evaluations)
    experiment = stored.sweep.experiment if stored.sweep else None
    text = document(results, stored.arms, stored.evaluations, stored.arrays, experiment, policy)
    path = write_file(text.encode(), given.output)
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
