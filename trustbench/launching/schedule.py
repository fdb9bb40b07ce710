"""What waits in a sweep, what has ended, and whether anything may still be started.

Equal arms run once, finished arms need no worker, an arm whose process died is started again, an
interrupt or a failure with on_error=stop starts nothing more, and each is reported once.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from trustbench.config.arm_labels import label_of
from trustbench.config.arms import Arm
from trustbench.execution import job as jobs
from trustbench.execution.job import ArmOutcome
from trustbench.launching.interrupts import Interrupts
from trustbench.launching.order import first_equal, starting_order


@dataclass
class ScheduledArm:
    """An arm of the sweep, and how often it has been started."""

    index: int
    name: str
    arm: Arm
    attempts: int = 0

    @property
    def label(self) -> str:
        """The arm's short name."""
        return label_of(self.arm)


def scheduled(arms: Mapping[str, Arm]) -> list[ScheduledArm]:
    """The arms of a sweep, by their names in it, before any is started."""
    return [ScheduledArm(i, name, arm) for i, (name, arm) in enumerate(arms.items())]


class Reports(Protocol):
    """Shows the user what happens."""

    def ended(self, job: ScheduledArm, outcome: ArmOutcome) -> None:
        """An arm needs no more processes."""

    def note(self, text: str) -> None:
        """Something else happened."""


@dataclass
class Stop:
    """Whether anything may still be started: not after an interrupt or a failure."""

    on_error: Literal["continue", "stop"]
    interrupts: Interrupts = field(default_factory=Interrupts)
    failed: str | None = None

    @property
    def reason(self) -> str | None:
        """Why nothing more is started, or None."""
        if self.interrupts.stop:
            return "interrupted"
        return f"{self.failed}, and on_error=stop" if self.failed else None

    def note(self, name: str, outcome: ArmOutcome) -> None:
        """Remembers the first failure, where one is a reason to stop."""
        if outcome.status in ("failed", "timeout", "refused") and self.on_error == "stop":
            self.failed = self.failed or f"{name} {outcome.status}"


class SweepSchedule:
    """One sweep: what waits and what has ended."""

    def __init__(
        self, every: Sequence[ScheduledArm], retries: int, stop: Stop, reports: Reports
    ) -> None:
        self.every, self.retries, self.stop, self.reports = every, retries, stop, reports
        arms = [job.arm for job in every]
        self.first = first_equal(arms)
        self.waiting = [every[i] for i in starting_order(arms) if self.first[i] == i]
        self.ended: dict[int, ArmOutcome] = {}
        self._interrupt_reported = False

    def end_finished(
        self, unfinished: Callable[[], object] = bool, limit_s: float = math.inf
    ) -> None:
        """Ends the arms that an earlier run finished.

        `unfinished` is called for each of the others. The check reads an arm's data: it ends when
        it has taken `limit_s` without finding one.
        """
        waiting, self.waiting = self.waiting, []
        fruitless_s = 0.0
        for job in waiting:
            started = time.monotonic()
            outcome = (
                None if fruitless_s > limit_s or self.stop.reason else jobs.find_finished(job.arm)
            )
            if outcome is None:
                self.waiting.append(job)
                unfinished()
                fruitless_s += time.monotonic() - started
            else:
                self.end(job, outcome)

    def end(self, job: ScheduledArm, outcome: ArmOutcome) -> None:
        """Keeps and reports the outcome of an arm that needs no more processes."""
        self.ended[job.index] = outcome
        self.stop.note(job.name, outcome)
        self.reports.ended(job, outcome)

    def retry(self, job: ScheduledArm, how: str) -> bool:
        """Whether an arm whose process died waits for another attempt; `how` says how it died."""
        if job.attempts > self.retries or self.stop.reason:
            return False
        self.reports.note(f"{job.label}: {how}; it is started again.")
        self.waiting.insert(0, job)
        return True

    def start_no_more(self, why: str, running: int) -> None:
        """Ends waiting arms, and reports once what happens to the `running` ones."""
        interrupts = self.stop.interrupts
        status = "interrupted" if interrupts.stop else "skipped"
        for job in self.waiting:
            self.end(job, jobs.unfinished(job.arm, status, f"not started: {why}"))
        self.waiting.clear()
        if interrupts.count == 1 and running and not self._interrupt_reported:
            self._interrupt_reported = True
            self.reports.note(
                f"interrupted: nothing more is started; {running} running arms are finished. "
                "Ctrl-C again stops them now: what they have stored is kept."
            )

    def outcomes(self) -> list[ArmOutcome]:
        """The outcome of every arm, in the sweep's order, once all that differ have ended."""
        for job in self.every:
            first = self.first[job.index]
            if first != job.index:
                same = self.ended[first]
                self.end(job, replace(same, reused=same.status == "ok", seconds=0.0))
        return [self.ended[job.index] for job in self.every]


def attempts_text(job: ScheduledArm) -> str:
    """How often an arm was started that has died each time, as the end of a sentence."""
    return f"; tried {job.attempts} times" if job.attempts > 1 else ""
