"""The pool: the arms of a sweep, each in its own process, as many at once as fit.

The parent computes nothing of an arm; it only checks whether the arm is finished. If an arm's
process dies, the others continue and its record says what happened.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing import connection
from typing import Any, Literal

from trustbench.config.arms import Arm
from trustbench.config.binding import bind
from trustbench.execution import job as jobs
from trustbench.execution.job import ArmOutcome
from trustbench.launching.attempt import Attempt, Work
from trustbench.launching.messages import Crashed, Ended
from trustbench.launching.options import Options
from trustbench.launching.schedule import ScheduledArm, Stop, SweepSchedule, tried
from trustbench.launching.server import ForkServer
from trustbench.launching.slots import Slots
from trustbench.launching.view import View, shown
from trustbench.store.records import Store

TICK_S = 0.2
LOOK_S = 5.0  # maximum time spent on checking arms that turn out to be unfinished
MEMORY_S = 0.5  # interval between measurements of an arm's memory
SERVER = ForkServer()  # one for the process: its imports serve every sweep


def opened(settings: Mapping[str, Any]) -> "Pool":
    """The pool with the settings of `hydra.launcher`.

    Raises:
        ConfigError: every problem of the settings.
    """
    gpus = settings.get("gpus")
    if isinstance(gpus, list):  # YAML reads ids as numbers
        settings = {**settings, "gpus": [str(g) if isinstance(g, int) else g for g in gpus]}
    return Pool(bind(Options, settings, "hydra.launcher"))


class Pool:
    """Runs sweeps; after an interrupt, or a failure with on_error=stop, it starts nothing."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.stop = Stop(options.on_error)

    def warm_up(self, arm: Arm) -> None:
        """Starts the server, unless an earlier run may have left nothing to do."""
        if not Store(arm.output_dir).used:
            SERVER.start()

    def run(self, arms: Mapping[str, Arm], work: Work) -> list[ArmOutcome]:
        """Returns the outcome of every arm, in their order; `work` runs one in its process.

        Raises:
            TrustbenchError: no process can be started.
        """
        every = [ScheduledArm(i, name, arm) for i, (name, arm) in enumerate(arms.items())]
        with self.stop.interrupts, shown(every) as view:
            schedule = SweepSchedule(every, self.options.retries, self.stop, view)
            _Run(self.options, schedule, work, view).finish()
            return schedule.outcomes()


class _Run:
    """One sweep's processes: which run, and how each ends."""

    def __init__(self, options: Options, schedule: SweepSchedule, work: Work, view: View) -> None:
        self.options, self.schedule, self.work, self.view = options, schedule, work, view
        self.slots = Slots(options, [job.arm for job in schedule.every])
        self.running: list[Attempt] = []

    def finish(self) -> None:
        """Ends every arm of the schedule."""
        schedule = self.schedule
        schedule.look(SERVER.start, LOOK_S)  # the server imports while the others are looked at
        try:
            while schedule.waiting or self.running:
                if schedule.stop.why:
                    schedule.start_no_more(schedule.stop.why, len(self.running))
                elif SERVER.ready():
                    self._start()
                self._watch()
        finally:
            for attempt in self.running:
                attempt.kill("the sweep ended")
                attempt.close()

    def _watch(self) -> None:
        """Waits briefly for running arms, and closes those that ended or exceeded their limits."""
        handles = [h for attempt in self.running for h in attempt.handles()]
        if handles:
            connection.wait(handles, timeout=TICK_S)  # type: ignore[arg-type]
        elif self.schedule.waiting:
            time.sleep(TICK_S / 4)
        for attempt in list(self.running):
            for message in attempt.receive():
                self.view.received(attempt, message)
            self._limit(attempt)
            if attempt.gone():
                self._close(attempt)
        self.view.tick()

    def _start(self) -> None:
        for job in list(self.schedule.waiting):
            if not len(self.slots):
                return
            slot = self.slots.take(job.arm)
            if slot is not None:
                self.schedule.waiting.remove(job)
                attempt = Attempt(job, slot, SERVER, self.work)
                self.running.append(attempt)
                self.view.started(attempt)

    def _limit(self, attempt: Attempt) -> None:
        """Kills an arm that exceeds its limits, or every arm at the user's request."""
        seconds, gb = self.options.timeout_s, self.options.memory_gb
        if self.schedule.stop.interrupts.now:
            attempt.kill("interrupted")
        elif seconds is not None and attempt.seconds > seconds:
            attempt.kill("timeout")
        elif gb is not None and attempt.memory_gb(MEMORY_S) > gb:
            attempt.kill("memory")

    def _close(self, attempt: Attempt) -> None:
        """Handles the end of an arm's process."""
        for message in attempt.receive():
            self.view.received(attempt, message)
        how = attempt.close()
        self.running.remove(attempt)
        self.slots.give_back(attempt.slot)
        job, where = attempt.job, attempt.stage.name
        if isinstance(attempt.last, Ended):
            self._end(attempt, attempt.last.outcome)
        elif isinstance(attempt.last, Crashed):
            self._fail(attempt, attempt.last.reason)
        elif attempt.stop == "timeout":
            reason = f"it ran longer than timeout_s={self.options.timeout_s:g}; stopped at {where}"
            self._fail(attempt, reason, "timeout")
        elif attempt.stop == "memory":
            reason = f"it held more than memory_gb={self.options.memory_gb:g}; stopped at {where}"
            self._fail(attempt, reason)
        elif self.schedule.stop.interrupts.now:
            self._end(attempt, jobs.unfinished(job.arm, "interrupted", f"stopped at {where}"))
        elif not self.schedule.again(job, f"its process {how} at {where}"):
            self._fail(attempt, f"its process {how} at {where}{tried(job)}")

    def _fail(
        self, attempt: Attempt, reason: str, status: Literal["failed", "timeout"] = "failed"
    ) -> None:
        arm = attempt.job.arm
        self._end(attempt, jobs.record_death(arm, reason, attempt.arm_id, status, attempt.seconds))

    def _end(self, attempt: Attempt, outcome: ArmOutcome) -> None:
        if outcome.status not in ("ok", "unsupported", "refused"):
            outcome = replace(outcome, log=attempt.log)
        self.schedule.end(attempt.job, outcome)
