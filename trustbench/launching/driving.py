"""A sweep on machines that somebody else schedules: what starts, what starts again, when it ends.

Ray and SLURM each define how an arm is started and how it ended (`Machines`). The rest is shared:
finished arms need no machine, an arm that died is retried, a failed one does not affect the others,
and a sweep without any machine left ends with a reason instead of waiting forever.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from trustbench.config.arm_labels import label_of
from trustbench.config.arms import Arm
from trustbench.errors import TrustbenchError
from trustbench.execution import job as jobs
from trustbench.execution.job import ArmOutcome
from trustbench.execution.pilot import settled
from trustbench.execution.plan import plan
from trustbench.launching.interrupts import Interrupts
from trustbench.launching.schedule import ScheduledArm, Stop, SweepSchedule, tried
from trustbench.store.records import Store

POLL_S = 1.0


@dataclass(frozen=True)
class Death:
    """An arm's process that ended without an outcome.

    `reason` is a sentence without its full stop. `again`: whether a second try can end
    differently, which it cannot after an exception of Python's.
    """

    reason: str
    again: bool = True


class Machines(Protocol):
    """Where arms run. Indices are those of the sweep's arms."""

    def room(self) -> int:
        """How many more arms could be started now."""

    def start(self, arms: Mapping[int, Arm]) -> None:
        """Starts arms, each in a process of its own."""

    def ended(self, timeout_s: float) -> Mapping[int, ArmOutcome | Death]:
        """The arms that have ended since the last call; waits for one up to `timeout_s`."""

    def stop(self) -> None:
        """Ends what still runs, and leaves the machines."""


@dataclass(frozen=True)
class DrivingRules:
    """When arms are started. `patience_s`: how long to wait when no machine has any room."""

    retries: int = 1
    patience_s: float = 120.0
    on_error: Literal["continue", "stop"] = "continue"


class Drive:
    """One sweep on machines: which arms they run, and how each ends."""

    def __init__(
        self,
        arms: Sequence[Arm],
        machines: Machines,
        rules: DrivingRules,
        note: Callable[[str], None],
    ) -> None:
        self.machines, self.rules = machines, rules
        self.interrupts = Interrupts()
        every = [ScheduledArm(i, label_of(arm), arm) for i, arm in enumerate(arms)]
        stop = Stop(rules.on_error, self.interrupts)
        self.schedule = SweepSchedule(every, rules.retries, stop, Notes(note))
        self.running: dict[int, ScheduledArm] = {}
        self.last_room = time.monotonic()

    def run(self) -> list[ArmOutcome]:
        """The outcome of every arm, in the sweep's order; after an interrupt some say so."""
        schedule = self.schedule
        with self.interrupts:
            try:
                schedule.look()
                while schedule.waiting or self.running:
                    if self.interrupts.now:
                        self._leave_running()
                    if schedule.stop.why:
                        schedule.start_no_more(schedule.stop.why, len(self.running))
                    else:
                        self._start()
                    for index, result in self.machines.ended(POLL_S).items():
                        if index in self.running:
                            self._end(self.running.pop(index), result)
            finally:
                self.machines.stop()
        return schedule.outcomes()

    def _leave_running(self) -> None:
        for job in self.running.values():
            self.schedule.end(job, jobs.unfinished(job.arm, "interrupted", "stopped"))
        self.running.clear()

    def _start(self) -> None:
        schedule = self.schedule
        room = max(self.machines.room(), 0) if schedule.waiting else 0
        chosen, schedule.waiting = schedule.waiting[:room], schedule.waiting[room:]
        if chosen:
            for job in chosen:
                job.attempts += 1
                self.running[job.index] = job
            self.machines.start({job.index: _sent(job.arm) for job in chosen})
        patience = self.rules.patience_s
        if room or self.running or not schedule.waiting:
            self.last_room = time.monotonic()
        elif time.monotonic() - self.last_room > patience:
            why = f"no machine has had room for an arm for {patience:.0f} s"
            schedule.start_no_more(why, len(self.running))

    def _end(self, job: ScheduledArm, result: ArmOutcome | Death) -> None:
        """What becomes of an arm whose process has ended."""
        if isinstance(result, ArmOutcome):
            self.schedule.end(job, _uploaded(job.arm, result))
        elif not (result.again and self.schedule.again(job, result.reason)):
            reason = f"{result.reason}{tried(job)}"
            self.schedule.end(job, jobs.record_death(job.arm, reason, _arm_id(job.arm)))


class Notes:
    """One line for the end of each arm, and for everything else."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = note

    def ended(self, job: ScheduledArm, outcome: ArmOutcome) -> None:
        """One line, and one for each warning."""
        self.note(outcome.line())
        for text in outcome.warnings():
            self.note(text)


def _sent(arm: Arm) -> Arm:
    """An arm as machines get it: a database in a file is for the processes of one machine only."""
    file = arm.tracking_uri is None or arm.tracking_uri.startswith("sqlite:")
    return replace(arm, uploads=not file)


def _uploaded(arm: Arm, outcome: ArmOutcome) -> ArmOutcome:
    """The outcome of an arm, with its record uploaded from here where its machine did not."""
    if _sent(arm).uploads or outcome.arm_id is None:
        return outcome
    warning = [*filter(None, [outcome.warning]), *jobs.upload(arm, outcome.arm_id)]
    return replace(outcome, warning="\n".join(dict.fromkeys(warning)) or None)


def _arm_id(arm: Arm) -> str | None:
    """Under which id the arm's process wrote.

    None where this machine cannot read its data, or where its learning rate was never chosen.
    """
    try:
        made = settled(plan(arm), Store(arm.output_dir))
    except TrustbenchError:
        return None
    return made.arm_id if made else None
