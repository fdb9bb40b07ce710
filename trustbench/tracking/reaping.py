"""Runs that are being uploaded, or whose uploader died before closing them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from trustbench.store.records import Store
from trustbench.tracking import owner, runs
from trustbench.tracking.server import TrackingServer

OURS = "tags.`trustbench.kind` LIKE '%'"


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that a server shows as RUNNING."""

    run_id: str
    label: str
    host: str
    pid: str
    hours: float
    """Age since its creation."""
    process_state: str
    """this | alive | gone | elsewhere: the state of the process that uploads it."""

    def dead(self, older_than_h: float | None = None) -> bool:
        """Whether its process is gone: seen to be, or elsewhere and older than `older_than_h`."""
        if self.process_state == "elsewhere":
            return older_than_h is not None and self.hours > older_than_h
        return self.process_state == "gone"


def unfinished(store: Store, uri: str | None) -> list[UnfinishedRun]:
    """Every trustbench run that is RUNNING, newest first."""
    server = TrackingServer(store, uri)
    found = runs.search(server, runs.experiments(server), f"{OURS} and {runs.OPEN}")
    now = time.time()
    return [
        UnfinishedRun(
            run_id=str(run.info.run_id),
            label=str(run.info.run_name),
            host=run.data.tags.get(owner.HOST, "unknown"),
            pid=run.data.tags.get(owner.PID, "unknown"),
            hours=(now - run.info.start_time / 1000) / 3600,
            process_state=owner.process_state(run.data.tags),
        )
        for run in found
    ]


def reap(store: Store, uri: str | None, dead: Sequence[UnfinishedRun]) -> None:
    """Closes runs as KILLED. One that is still alive ends as FINISHED nevertheless."""
    server = TrackingServer(store, uri)
    for run in dead:
        server.call("set_terminated", run.run_id, "KILLED")
