"""The display of a running sweep: lines in a file or pipe, a live table on a terminal."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TextIO

from trustbench.execution.job import ArmOutcome
from trustbench.execution.progress import Lines
from trustbench.launching.attempt import Attempt
from trustbench.launching.messages import Message, Stage
from trustbench.launching.schedule import ScheduledArm
from trustbench.launching.table import LiveTable
from trustbench.summary.render.escaping import visible


class View(Protocol):
    """Receives the events of the arms as they happen."""

    def started(self, attempt: Attempt) -> None:
        """A process runs an arm."""

    def received(self, attempt: Attempt, message: Message) -> None:
        """An arm has reached a new stage, or progressed in one."""

    def ended(self, job: ScheduledArm, outcome: ArmOutcome) -> None:
        """An arm needs no more processes."""

    def note(self, text: str) -> None:
        """Any other message."""

    def tick(self) -> None:
        """Time has passed."""


@contextmanager
def shown(jobs: Sequence[ScheduledArm], out: TextIO | None = None) -> Iterator[View]:
    """The view of a sweep on `out` (standard error) until the block ends."""
    out = out or sys.stderr
    if not out.isatty():
        yield PlainLines(out)
        return
    with LiveTable(jobs, out) as table:
        yield table


class PlainLines:
    """One line for each stage of each arm, and one for its end."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.lines: dict[int, Lines] = {}

    def started(self, attempt: Attempt) -> None:
        """One line."""
        job = attempt.job
        lines = Lines(job.label, job.arm.protocol.replicates, self.out)
        self.lines[job.index] = lines
        lines("start", 0, 0)

    def received(self, attempt: Attempt, message: Message) -> None:
        """One line for a new stage."""
        if isinstance(message, Stage):
            self.lines[attempt.job.index](message.name, message.done, message.total)

    def ended(self, job: ScheduledArm, outcome: ArmOutcome) -> None:
        """One line."""
        self.note(outcome.line())
        for text in outcome.warnings():
            self.note(text)

    def note(self, text: str) -> None:
        """One line, or several."""
        print(visible(text), file=self.out, flush=True)

    def tick(self) -> None:
        """Does nothing: lines do not change."""
