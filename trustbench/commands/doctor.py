"""`trustbench doctor`: what this installation and this store are, and what needs attention."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from trustbench import tracking
from trustbench.commands.health import Finding, installation, store_lines
from trustbench.commands.parsing import Parser, add_store, parser
from trustbench.errors import UserError
from trustbench.store.records import Store


def main(args: Sequence[str]) -> int:
    """0 when nothing needs attention, else 1; each such line starts with `!`."""
    given = _parser().parse_args(args)
    if given.older_than is not None and not given.older_than >= 0:
        raise UserError(f"--older-than {given.older_than} is not an age; give hours, 0 or more.")
    said: list[str] = []
    store = Store(Path(given.folder).expanduser(), warn=said.append)
    wrong = 0
    for finding in _findings(store, given.tracking_uri, given.reap, given.older_than, said):
        print(f"{'!' if finding.wrong else ' '} {finding.text}")  # noqa: T201
        wrong += finding.wrong
    print("nothing needs attention." if not wrong else f"{wrong} marked ! need attention.")  # noqa: T201
    return 1 if wrong else 0


def _parser() -> Parser:
    p = parser("doctor", "What this installation and store are, and what needs attention.")
    add_store(p)
    p.add_argument(
        "--reap", action="store_true", help="close the runs whose uploading process has died"
    )
    p.add_argument(
        "--older-than",
        metavar="HOURS",
        type=float,
        help="of other hosts, whose processes cannot be seen, take older runs for dead",
    )
    p.epilog = "exit code: 0 nothing needs attention, 1 something does (lines marked !), 2 usage"
    return p


def _findings(
    store: Store, uri: str | None, reaping: bool, older_than: float | None, said: list[str]
) -> Iterator[Finding]:
    yield from installation()
    yield from store_lines(store, said)
    try:
        yield from _tracking(store, uri, reaping, older_than)
    except tracking.TrackingError as error:
        yield Finding(str(error), wrong=True)


def _tracking(
    store: Store, uri: str | None, reaping: bool, older_than: float | None
) -> Iterator[Finding]:
    """Whether the server answers, what it lacks, and runs that no process uploads any more."""
    if tracking.is_own_database(store, uri) and not store.tracking_db.exists():
        yield Finding("tracking: no database yet; the first run makes it")
        return
    runs = tracking.unfinished(store, uri)
    yield Finding(f"tracking: {tracking.shown(store, uri)} answers")
    finished = [r for r in store.records() if r.status != "started"]
    lacking = len(finished) - len(tracking.logged(store, uri, finished)) if finished else 0
    if lacking:
        yield Finding(f"tracking: {lacking} records to upload; run `trustbench sync`", wrong=True)
    dead = [run for run in runs if run.dead(older_than)]
    if reaping and dead:
        tracking.reap(store, uri, dead)
        yield Finding(f"tracking: {len(dead)} runs of dead processes closed as KILLED")
    for run in runs:
        if run not in dead:
            yield Finding(f"tracking: {_named(run)}: {_doing(run)}", wrong=run.fate == "elsewhere")
        elif not reaping:
            yield Finding(f"tracking: {_named(run)}: its process is gone; --reap", wrong=True)


def _named(run: tracking.Unfinished) -> str:
    return f"run {run.run_id} ({run.label}) of process {run.pid} on {run.host}, {run.hours:z.1f} h"


def _doing(run: tracking.Unfinished) -> str:
    if run.fate == "elsewhere":
        return "cannot be seen from here; if it is dead: --reap --older-than HOURS"
    return "is being uploaded"
