"""`trustbench summarize`: the table of stored records."""

import sys
from collections.abc import Sequence
from pathlib import Path

from trustbench import tracking
from trustbench.commands.parsing import (
    add_config_dir,
    add_store,
    existing_store,
    experiments,
    parser,
)
from trustbench.compose import conf_dirs
from trustbench.errors import UserError, did_you_mean
from trustbench.plugins import discover
from trustbench.records import Record, Store, Sweep, write_atomically
from trustbench.summary.registry import Table, load_table
from trustbench.summary.render import FORMATS, render
from trustbench.summary.table import summarize

DEFAULT_TABLE = "cresswell"


def main(args: Sequence[str]) -> int:
    """0 once the table is printed or written."""
    p = parser("summarize", "The table of stored records.")
    add_store(p)
    add_config_dir(p)
    p.add_argument("--experiment", metavar="NAME", help="read this experiment's last sweep only")
    p.add_argument("--table", metavar="NAME|FILE", help="default: the sweep's own")
    p.add_argument("--format", default="terminal", help=", ".join(FORMATS))
    p.add_argument("--output", metavar="FILE", help="write to a file instead of printing")
    given = p.parse_args(args)
    if given.format not in FORMATS:
        raise UserError(f"unknown format {given.format!r}; {did_you_mean(given.format, FORMATS)}")
    if given.tracking_uri:
        store = Store(Path(given.folder))
        sweep, records = from_server(store, given.tracking_uri, given.experiment)
    else:
        sweep, records = from_store(existing_store(given.folder), given.experiment)
    table = find_table(given.table or (sweep.table if sweep else DEFAULT_TABLE), given.config_dir)
    if sweep is not None:
        wanted = set(sweep.arms)
        records = [r for r in records if r.id in wanted]
    results = summarize(records, table, sweep.evaluations if sweep else None)
    _put(render(results, given.format), given.output, given.format)
    return 0


def from_store(store: Store, experiment: str | None) -> tuple[Sweep | None, list[Record]]:
    """The manifest asked for, or the only one there is; and every record."""
    known = experiments(store)
    if experiment is None and len(known) > 1:
        raise UserError(
            f"{store.root} holds the sweeps of {', '.join(known)}; choose one with --experiment."
        )
    name = experiment or (known[0] if known else None)
    if name is not None and name not in known:
        raise UserError(f"no sweep of experiment {name!r} is stored; {did_you_mean(name, known)}")
    return (store.sweep(name) if name else None), list(store.records())


def from_server(
    store: Store, uri: str, experiment: str | None
) -> tuple[Sweep | None, list[Record]]:
    """The sweep asked for and the records of a tracking server."""
    sweep = tracking.fetch_sweep(store, uri, experiment) if experiment else None
    return sweep, list(tracking.fetch_records(store, uri, experiment))


def find_table(name: str, config_dir: str | None) -> Table:
    """The registered table of a name or a file; UserError when there is none."""
    if Path(name).suffix in (".yaml", ".yml"):
        return load_table(Path(name))
    known = discover("table", conf_dirs(config_dir))
    if name not in known:
        raise UserError(f"unknown table {name!r}; {did_you_mean(name, known)}")
    return load_table(known[name])


def _put(content: str | bytes, output: str | None, format: str) -> None:
    data = content if isinstance(content, bytes) else content.rstrip("\n").encode() + b"\n"
    if output is not None:
        path = Path(output).expanduser().absolute()
        try:
            write_atomically(path, data)
        except OSError as error:
            raise UserError(f"--output {output} cannot be written: {error}.") from error
    elif isinstance(content, bytes) and sys.stdout.isatty():
        raise UserError(f"--format {format} is an image; give --output FILE.{format}.")
    elif isinstance(content, bytes):
        sys.stdout.buffer.write(data)
    else:
        sys.stdout.write(data.decode())
