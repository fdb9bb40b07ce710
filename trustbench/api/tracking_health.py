"""What `trustbench doctor` finds: the installation, the store, and what its server has of it."""

from collections.abc import Iterator

from trustbench import tracking
from trustbench.api.health import HealthFinding, installation, store_lines
from trustbench.store.audits import audits
from trustbench.store.records import Store


def findings(
    store: Store, uri: str | None, reaping: bool, older_than: float | None, warnings: list[str]
) -> Iterator[HealthFinding]:
    """Everything there is to say, line by line; `warnings` is where the store's warnings arrive."""
    yield from installation()
    yield from store_lines(store, warnings)
    try:
        yield from _tracking(store, uri, reaping, older_than)
    except tracking.TrackingError as error:
        yield HealthFinding(str(error), wrong=True)


def _tracking(
    store: Store, uri: str | None, reaping: bool, older_than: float | None
) -> Iterator[HealthFinding]:
    """Whether the server answers, what it lacks, and runs that no process uploads any more."""
    if tracking.is_own_database(store, uri) and not store.tracking_db.exists():
        yield HealthFinding("tracking: no database yet; the first run makes it")
        return
    runs = tracking.unfinished(store, uri)
    yield HealthFinding(f"tracking: {tracking.shown(store, uri)} answers")
    finished = [r for r in store.records() if r.status != "started"]
    lacking = len(finished) - len(tracking.logged(store, uri, finished)) if finished else 0
    if lacking:
        yield HealthFinding(
            f"tracking: {lacking} records to upload; run `trustbench sync`", wrong=True
        )
    audited = audits(store.root, store.warn)
    waiting = len(audited) - len(tracking.logged_audits(store, uri, audited))
    if waiting:
        yield HealthFinding(f"tracking: {waiting} audits to upload; run `trustbench sync`")
    dead = [run for run in runs if run.dead(older_than)]
    if reaping and dead:
        tracking.reap(store, uri, dead)
        yield HealthFinding(f"tracking: {len(dead)} runs of dead processes closed as KILLED")
    for run in runs:
        if run not in dead:
            yield HealthFinding(
                f"tracking: {_named(run)}: {_activity(run)}", wrong=run.process_state == "elsewhere"
            )
        elif not reaping:
            yield HealthFinding(f"tracking: {_named(run)}: its process is gone; --reap", wrong=True)


def _named(run: tracking.UnfinishedRun) -> str:
    return f"run {run.run_id} ({run.label}) of process {run.pid} on {run.host}, {run.hours:z.1f} h"


def _activity(run: tracking.UnfinishedRun) -> str:
    if run.process_state == "elsewhere":
        return "cannot be seen from here; if it is dead: --reap --older-than HOURS"
    return "is being uploaded"
