"""The one loop that runs a sweep's arms, on this machine, on Ray and on SLURM.

Workers define how an arm is started and how it ended. The rest is shared: finished arms need no
worker, an arm that died is retried, a failed one does not affect the others, Ctrl-C once lets what
runs finish and twice stops it, and a sweep that finds no room for any arm ends with a reason
instead of waiting forever.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from trustbench.execution import job as jobs
from trustbench.execution.job import ArmOutcome
from trustbench.launching.schedule import ScheduledArm, SweepSchedule, attempts_text


def unknown_id() -> None:
    """The id of an arm whose process died before it was known."""


@dataclass(frozen=True)
class Death:
    """An arm's process that ended without an outcome.

    `reason` is a sentence without its full stop. `again`: whether a second try can end
    differently, which it cannot after an exception of Python's. `identify` returns the id under
    which the process wrote; it may read the arm's data.
    """

    reason: str
    again: bool = True
    status: Literal["failed", "timeout"] = "failed"
    seconds: float = 0.0
    log: str | None = None
    identify: Callable[[], str | None] = unknown_id


Ends = Mapping[int, ArmOutcome | Death]
"""How arms ended, by their index in the sweep."""


class Workers(Protocol):
    """Where arms run."""

    def prepare(self) -> None:
        """Something will be started; called more than once."""

    def start(self, waiting: Sequence[ScheduledArm]) -> Sequence[ScheduledArm]:
        """Starts those arms for which there is room now, each in its own process; returns them."""

    def poll(self) -> Ends:
        """The arms that have ended since the last call; waits briefly for one."""

    def stop(self) -> Ends:
        """Stops what still runs and leaves the machines; returns where each was stopped."""


class Scheduler:
    """Runs the arms of a schedule on workers.

    `search_s` limits the fruitless search for finished arms, `patience_s` how long a sweep
    waits while nothing runs and nothing can be started.
    """

    def __init__(
        self,
        schedule: SweepSchedule,
        workers: Workers,
        *,
        search_s: float = math.inf,
        patience_s: float = math.inf,
    ) -> None:
        self.schedule, self.workers = schedule, workers
        self.search_s, self.patience_s = search_s, patience_s
        self.running: dict[int, ScheduledArm] = {}
        self.last_room = time.monotonic()

    def run(self) -> list[ArmOutcome]:
        """The outcome of every arm, in the sweep's order; after an interrupt some say so."""
        schedule = self.schedule
        with schedule.stop.interrupts as interrupts:
            try:
                schedule.end_finished(self.workers.prepare, self.search_s)
                while (schedule.waiting or self.running) and not interrupts.now:
                    if schedule.stop.reason:
                        schedule.start_no_more(schedule.stop.reason, len(self.running))
                    elif schedule.waiting:
                        self._started(self.workers.start(tuple(schedule.waiting)))
                    for index, result in self.workers.poll().items():
                        if index in self.running:
                            self._end(self.running.pop(index), result)
            finally:
                left = self.workers.stop()
            self._interrupt(left)
        return schedule.outcomes()

    def _started(self, started: Sequence[ScheduledArm]) -> None:
        for job in started:
            job.attempts += 1
            self.schedule.waiting.remove(job)
            self.running[job.index] = job
        if self.running:
            self.last_room = time.monotonic()
        elif time.monotonic() - self.last_room > self.patience_s:
            why = f"no machine has had room for an arm for {self.patience_s:.0f} s"
            self.schedule.start_no_more(why, len(self.running))

    def _end(self, job: ScheduledArm, result: ArmOutcome | Death) -> None:
        """What becomes of an arm whose process has ended."""
        self.last_room = time.monotonic()
        if isinstance(result, ArmOutcome):
            self.schedule.end(job, result)
        elif not (result.again and self.schedule.retry(job, result.reason)):
            reason = f"{result.reason}{attempts_text(job) if result.again else ''}"
            outcome = jobs.record_death(
                job.arm, reason, result.identify(), result.status, result.seconds
            )
            self.schedule.end(job, _logged(outcome, result.log))

    def _interrupt(self, left: Ends) -> None:
        """Ends what the second interrupt stopped, and what it kept from being started."""
        for index, job in self.running.items():
            result = left.get(index, Death("stopped"))
            if isinstance(result, Death):
                stopped = jobs.unfinished(job.arm, "interrupted", result.reason)
                result = _logged(stopped, result.log)
            self.schedule.end(job, result)
        self.running.clear()
        if self.schedule.waiting:
            self.schedule.start_no_more("interrupted", 0)


def _logged(outcome: ArmOutcome, log: str | None) -> ArmOutcome:
    """The outcome, with the log that may explain it."""
    return outcome if outcome.status == "ok" else replace(outcome, log=log)
