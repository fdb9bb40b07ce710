"""The states of jobs according to `squeue`.

Submitit asks `sacct`, which sites without an accounting database lack; a sweep would then wait
forever for a dead job.
"""

import subprocess
import time
from collections.abc import Iterable

ASK_S = 10.0  # interval between calls of squeue
GRACE_S = 60.0  # how long SLURM may not know a job: a new one not yet, an old one no longer
OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL"}
LAG_S = 15.0  # how long the result of a finished job may take to reach this machine


class Queue:
    """The states of a sweep's jobs in SLURM."""

    def __init__(self) -> None:
        self.watched: set[str] = set()
        self.states: dict[str, str] = {}
        self.since: dict[str, float] = {}
        self.asked = 0.0

    def watch(self, jobs: Iterable[str]) -> None:
        """Watches jobs that have just been submitted."""
        self.watched |= set(jobs)

    def over(self, job: str) -> bool:
        """Whether SLURM has ended the job, or has not known it, for a while."""
        if time.monotonic() - self.asked > ASK_S:
            self._ask()
        patience = LAG_S if self.states.get(job) in OVER else GRACE_S
        return time.monotonic() - self.since.get(job, float("inf")) > patience

    def _ask(self) -> None:
        listed = queued(self.watched)
        self.asked = time.monotonic()
        if listed is None:
            return
        self.states.update(listed)
        for job in self.watched:
            if job in listed and listed[job] not in OVER:
                self.since.pop(job, None)
            else:
                self.since.setdefault(job, self.asked)


def queued(jobs: Iterable[str]) -> dict[str, str] | None:
    """The state of each job that SLURM knows; None if it does not answer."""
    arrays = ",".join(sorted({job.split("_")[0] for job in jobs}))
    ask = ["squeue", "--noheader", "--array", "--states=all", "--format=%i %T", f"--jobs={arrays}"]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode and "Invalid job id" not in done.stderr:
        return None
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if " " in line.strip())
