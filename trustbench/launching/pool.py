"""The pool: the arms of a sweep in processes of this machine, as many at once as fit.

The parent computes nothing of an arm; it only checks whether the arm is finished. If an arm's
process dies, the others continue and its record says what happened.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import connection
from typing import Any

from trustbench.config.arms import Arm
from trustbench.config.binding import bind
from trustbench.execution.job import ArmOutcome
from trustbench.launching.attempt import Attempt, Work
from trustbench.launching.messages import Crashed, Ended
from trustbench.launching.options import Options
from trustbench.launching.schedule import ScheduledArm, Stop, SweepSchedule, scheduled
from trustbench.launching.scheduler import Death, Ends, Scheduler
from trustbench.launching.server import ForkServer
from trustbench.launching.slots import Slots
from trustbench.launching.view import View, shown
from trustbench.store.records import Store

TICK_S = 0.2
SEARCH_S = 5.0  # maximum time spent on checking arms that turn out to be unfinished
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
        every = scheduled(arms)
        with shown(every) as view:
            schedule = SweepSchedule(every, self.options.retries, self.stop, view)
            processes = Processes(self.options, list(arms.values()), work, view)
            return Scheduler(schedule, processes, search_s=SEARCH_S).run()


class Processes:
    """Workers of this machine: one process for each arm, within the limits of the options."""

    def __init__(self, options: Options, arms: Sequence[Arm], work: Work, view: View) -> None:
        self.options, self.work, self.view = options, work, view
        self.slots = Slots(options, arms)
        self.running: list[Attempt] = []

    def prepare(self) -> None:
        """Starts the server, which imports while the other arms are looked at."""
        SERVER.start()

    def start(self, waiting: Sequence[ScheduledArm]) -> Sequence[ScheduledArm]:
        """Starts every arm that has a free slot, once the server is ready.

        Raises:
            TrustbenchError: the server died.
        """
        started: list[ScheduledArm] = []
        for job in waiting if SERVER.ready() else ():
            slot = self.slots.take(job.arm)
            if slot is not None:
                attempt = Attempt(job, slot, SERVER, self.work)
                self.running.append(attempt)
                self.view.started(attempt)
                started.append(job)
            elif not len(self.slots):
                break
        return started

    def poll(self) -> Ends:
        """Waits briefly for running arms; those that ended or exceeded their limits."""
        handles = [h for attempt in self.running for h in attempt.handles()]
        if handles:
            connection.wait(handles, timeout=TICK_S)  # type: ignore[arg-type]
        else:  # the server still imports
            time.sleep(TICK_S / 4)
        ends: dict[int, ArmOutcome | Death] = {}
        for attempt in list(self.running):
            self._receive(attempt)
            self._limit(attempt)
            if attempt.continued():
                self.view.note(f"{attempt.job.label}: a signal had stopped it; it is continued.")
            if attempt.has_ended():
                ends[attempt.job.index] = self._close(attempt)
        self.view.tick()
        return ends

    def stop(self) -> Ends:
        """Kills every running arm; an outcome that it has sent before counts."""
        for attempt in self.running:
            attempt.kill("interrupted")
        return {a.job.index: self._close(a) for a in list(self.running)}

    def _receive(self, attempt: Attempt) -> None:
        for message in attempt.receive():
            self.view.received(attempt, message)

    def _limit(self, attempt: Attempt) -> None:
        """Kills an arm that exceeds its limits."""
        seconds, gb = self.options.timeout_s, self.options.memory_gb
        if seconds is not None and attempt.seconds > seconds:
            attempt.kill("timeout")
        elif gb is not None and attempt.memory_gb(MEMORY_S) > gb:
            attempt.kill("memory")

    def _close(self, attempt: Attempt) -> ArmOutcome | Death:
        """How an arm's process ended, which frees its slot."""
        self._receive(attempt)
        how = attempt.close()
        self.running.remove(attempt)
        self.slots.give_back(attempt.slot)
        if isinstance(attempt.last, Ended):
            outcome = attempt.last.outcome
            fine = outcome.status in ("ok", "unsupported", "refused")
            return outcome if fine else replace(outcome, log=attempt.log)
        return replace(
            self._death(attempt, how),
            seconds=attempt.seconds,
            log=attempt.log,
            identify=partial(getattr, attempt, "arm_id"),
        )

    def _death(self, attempt: Attempt, how: str) -> Death:
        """Why a process ended without an outcome; `how` is what the system says."""
        where, options = attempt.stage.name, self.options
        if isinstance(attempt.last, Crashed):
            return Death(attempt.last.reason, again=False)
        match attempt.stop:
            case "timeout":
                reason = f"it ran longer than timeout_s={options.timeout_s:g}; stopped at {where}"
                return Death(reason, again=False, status="timeout")
            case "memory":
                reason = f"it held more than memory_gb={options.memory_gb:g}; stopped at {where}"
                return Death(reason, again=False)
            case "interrupted":
                return Death(f"stopped at {where}")
        return Death(f"its process {how} at {where}")
