"""`trustbench run`: one arm or a sweep; after a sweep, its manifest, tables and exit code."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from trustbench import tracking
from trustbench.commands.lookup import table_at
from trustbench.commands.report import write_report
from trustbench.config.arms import Arm
from trustbench.config.compose import Asked, Begun, hydra_run
from trustbench.errors import ConfigError, UserError
from trustbench.execution import job
from trustbench.execution.job import Outcome
from trustbench.execution.progress import arm_progress
from trustbench.launching.fetching import with_records
from trustbench.store.records import Record, Store, Sweep
from trustbench.summary.render import write_all
from trustbench.summary.render.single_arm import single_arm
from trustbench.summary.render.terminal import show_tables
from trustbench.summary.table.table import summarize
from trustbench.summary.table.utility_floor import of_record

STYLES = {"ok": "green", "unsupported": "yellow"}


def main(args: Sequence[str]) -> int:
    """0 when every arm is measured or has a reason not to be; else 1 or 2, see `exit_code`."""
    done = hydra_run(args, begin, work)
    if done is None:
        return 0
    asked, outcomes = done
    if asked.sweep:
        outcomes = with_records(outcomes, asked.first.output_dir, asked.first.tracking_uri)
        _finish_sweep(asked, outcomes)
        if any(o.status == "interrupted" for o in outcomes):
            raise KeyboardInterrupt
    else:
        _print_arm(asked, outcomes[0])
    return exit_code(outcomes)


def begin(asked: Asked) -> Begun:
    """Checks what all arms share, and makes what workers must not race to make.

    One arm, or a sweep without a server, has no run on one.
    """
    table_at(asked.table)
    arm = asked.first
    try:
        arm.output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output_dir cannot be made ({error}); give another folder.") from error
    if not os.access(arm.output_dir, os.W_OK):
        raise ConfigError(f"output_dir {arm.output_dir} cannot be written to; give another folder.")
    asked.warm_up()
    finished = _finished_before(asked) if asked.sweep else ()
    if finished:
        return Begun(finished=finished)  # no upload is due, and reaching a server takes seconds
    try:
        run = tracking.prepare(
            Store(arm.output_dir), arm.tracking_uri, asked.experiment, sweep=asked.sweep
        )
    except tracking.TrackingError as error:
        _warn(f"{error} Records are kept; `trustbench sync` uploads them later.")
        return Begun()
    return Begun(run)


def _finished_before(asked: Asked) -> tuple[Outcome, ...]:
    """The arms' outcomes, if an earlier run finished this sweep and uploaded every record."""
    if not Store(asked.first.output_dir).sweep_file(asked.experiment).exists():
        return ()
    found = []
    for arm in asked.arms.values():
        outcome = job.look(arm)
        if outcome is None:
            return ()
        found.append(outcome)
    return tuple(found)


def work(arm: Arm) -> Outcome:
    """Runs one arm, in the process that the launcher chose, and says at once how it ended."""
    with arm_progress(job.label(arm), arm.protocol.replicates) as progress:
        outcome = job.run(arm, progress, progress.identified)
    print(outcome.line(), file=sys.stderr)  # noqa: T201
    for line in (outcome.warning or "").splitlines():
        _warn(line)
    return outcome


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """1 if an arm failed, even beside refused ones; else 2 if one was refused; else 0."""
    if any(o.status not in ("ok", "unsupported") and not o.user_error for o in outcomes):
        return 1
    return 2 if any(o.user_error for o in outcomes) else 0


def _finish_sweep(asked: Asked, outcomes: Sequence[Outcome]) -> None:
    arm, store = asked.first, Store(asked.first.output_dir)
    cut = any(o.status in ("skipped", "interrupted") for o in outcomes)
    if cut or not any(o.arm_id for o in outcomes):
        _show_status(asked, outcomes)
        return  # the manifest and tables of an earlier, whole sweep stay as they are
    table = table_at(asked.table)
    sweep = Sweep(
        experiment=asked.experiment,
        table=table.name,
        arms=list(dict.fromkeys(o.arm_id for o in outcomes if o.arm_id)),
        evaluations=list(dict.fromkeys(e for o in outcomes for e in o.evaluations)),
    )
    store.write_sweep(sweep)
    _show_status(asked, outcomes)
    records = [r for r in map(store.read, sweep.arms) if r is not None]
    if not records:
        return
    try:
        results = summarize(records, table, sweep.evaluations)
        show_tables(results, _console())
    except UserError as error:  # arms that no registered table compares, say a sweep of seeds
        _warn(f"no table: {error}")
        return
    paths = write_all(results, store, asked.experiment)
    report = write_report(results, records, store, sweep)
    if report is None:
        _warn("the report is too large to be logged; it is kept beside the tables.")
    _upload(arm, store, sweep, [*paths, *filter(None, [report])])


def _console() -> Console:
    """The terminal as it is; files and pipes get lines of 120 columns."""
    return Console(width=None if sys.stdout.isatty() else 120)


def _upload(arm: Arm, store: Store, sweep: Sweep, paths: Sequence[Path]) -> None:
    try:
        if tracking.sweep_uploaded(store, arm.tracking_uri, sweep, paths):
            return
        parent = tracking.prepare(store, arm.tracking_uri, sweep.experiment)
        assert parent is not None
        tracking.log_sweep(store, arm.tracking_uri, parent, sweep, paths)
    except tracking.TrackingError as error:
        _warn(f"{error} The tables are kept in {store.root}.")
    finally:
        where = f"records, tables and tracking database: {store.root}"
        print(where, file=sys.stderr)  # noqa: T201


def _print_arm(asked: Asked, outcome: Outcome) -> None:
    record: Record | None = None
    if outcome.arm_id:
        record = Store(asked.first.output_dir).read(outcome.arm_id)
    if record is not None and outcome.status in STYLES:
        below = of_record(record, table_at(asked.table).floor, outcome.evaluations)
        _console().print(single_arm(record, outcome.evaluations, below))


def _show_status(asked: Asked, outcomes: Sequence[Outcome]) -> None:
    width = None if sys.stderr.isatty() else 160
    Console(stderr=True, width=width).print(_status(asked, outcomes))


def _status(asked: Asked, outcomes: Sequence[Outcome]) -> Grid:
    """One line an arm: name, status, seconds, and the first line of what went wrong."""
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for heading in ("arm", "what", "status"):
        grid.add_column(heading, no_wrap=True)
    grid.add_column("seconds", justify="right")
    grid.add_column("why")
    for name, outcome in zip(asked.arms, outcomes, strict=True):
        grid.add_row(
            Text(name),
            Text(outcome.label),
            Text(outcome.said, style=STYLES.get(outcome.status, "red")),
            f"{outcome.seconds:z.1f}",
            Text(outcome.first_line),
        )
    return grid


def _warn(text: str) -> None:
    print(f"trustbench: warning: {text}", file=sys.stderr)  # noqa: T201
