"""`trustbench run`: one arm or a sweep; after a sweep, its manifest, tables and exit code."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from trustbench.api.lookup import table_at
from trustbench.api.runs import begin, work
from trustbench.api.sweeps import keep_manifest, publish, records_of, results_of
from trustbench.config.compose import RunRequest, hydra_run
from trustbench.errors import UserError, warn
from trustbench.execution.job import ArmOutcome
from trustbench.launching.fetching import with_records
from trustbench.store.records import Record, Store
from trustbench.summary.render.single_arm import single_arm
from trustbench.summary.render.terminal import show_tables
from trustbench.summary.table.utility_floor import of_record

STYLES = {"ok": "green", "unsupported": "yellow"}


def main(args: Sequence[str]) -> int:
    """0 if every arm is measured or has a reason not to be; else 1 or 2, see `exit_code`."""
    done = hydra_run(args, begin, work)
    if done is None:
        return 0
    request, outcomes = done
    if request.sweep:
        outcomes = with_records(outcomes, request.first.output_dir, request.first.tracking_uri)
        _finish_sweep(request, outcomes)
        if any(o.status == "interrupted" for o in outcomes):
            raise KeyboardInterrupt
    else:
        _print_arm(request, outcomes[0])
    return exit_code(outcomes)


def exit_code(outcomes: Sequence[ArmOutcome]) -> int:
    """1 if an arm failed, even if others were refused; else 2 if one was refused; else 0."""
    if any(o.status not in ("ok", "unsupported") and not o.user_error for o in outcomes):
        return 1
    return 2 if any(o.user_error for o in outcomes) else 0


def _finish_sweep(request: RunRequest, outcomes: Sequence[ArmOutcome]) -> None:
    sweep = keep_manifest(request, outcomes)
    _show_status(request, outcomes)
    records = records_of(request, sweep) if sweep is not None else []
    if sweep is None or not records:
        return
    try:
        results = results_of(request, sweep, records)
    except UserError as error:  # arms that no registered table compares, as in a sweep of seeds
        warn(f"no table: {error}")
        return
    warnings = list(publish(request, sweep, records, results))  # before anything is shown
    show_tables(results, _console())
    for warning in warnings:
        warn(warning)
    where = f"records, tables and tracking database: {request.first.output_dir.absolute()}"
    print(where, file=sys.stderr)  # noqa: T201


def _console() -> Console:
    """The terminal as it is; files and pipes get lines of 120 columns."""
    return Console(width=None if sys.stdout.isatty() else 120)


def _print_arm(request: RunRequest, outcome: ArmOutcome) -> None:
    record: Record | None = None
    if outcome.arm_id:
        record = Store(request.first.output_dir).read(outcome.arm_id)
    if record is not None and outcome.status in STYLES:
        below = of_record(
            record, table_at(request.table, request.metrics).floor, outcome.evaluations
        )
        _console().print(single_arm(record, outcome.evaluations, below))


def _show_status(request: RunRequest, outcomes: Sequence[ArmOutcome]) -> None:
    width = None if sys.stderr.isatty() else 160
    Console(stderr=True, width=width).print(_status(request, outcomes))


def _status(request: RunRequest, outcomes: Sequence[ArmOutcome]) -> Grid:
    """One line per arm: name, status, seconds, and the first line of the error."""
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for heading in ("arm", "what", "status"):
        grid.add_column(heading, no_wrap=True)
    grid.add_column("seconds", justify="right")
    grid.add_column("why")
    for name, outcome in zip(request.arms, outcomes, strict=True):
        grid.add_row(
            Text(name),
            Text(outcome.label),
            Text(outcome.status_text, style=STYLES.get(outcome.status, "red")),
            f"{outcome.seconds:z.1f}",
            Text(outcome.first_line),
        )
    return grid
