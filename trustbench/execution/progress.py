"""The progress of an arm: one live line on a terminal, plain lines elsewhere and in workers."""

import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress(Protocol):
    """`progress(stage, done, total)`: `done` of `total` epochs or evaluators of a stage."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """Reports the progress of an arm."""

    def identified(self, arm_id: str, /) -> None:
        """Reports the id under which the arm's record is stored."""


REPORTS: ContextVar[Progress | None] = ContextVar("REPORTS", default=None)
"""Receives the progress of this process's arm, in a process made by a launcher."""


@contextmanager
def arm_progress(label: str, replicates: int, out: TextIO | None = None) -> Iterator[Progress]:
    """The progress of one arm, shown on `out` (standard error) until the block ends."""
    reports = REPORTS.get()
    if reports is not None:
        yield reports
        return
    out = out or sys.stderr
    if not out.isatty() or multiprocessing.current_process().name != "MainProcess":
        yield Lines(label, replicates, out)
        return
    with _bar(out) as bar:
        yield Live(bar, label, replicates)


class Lines:
    """One line per stage, never one per epoch: a log file stays readable."""

    def __init__(self, label: str, replicates: int, out: TextIO) -> None:
        self.prefix, self.out = f"[{label}, {replicates} replicates]", out
        self.started, self.stage = time.monotonic(), ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Prints the stage if it is new."""
        if stage == self.stage:
            return
        self.stage = stage
        elapsed = time.monotonic() - self.started
        print(f"{self.prefix} {elapsed:6.1f} s  {stage}", file=self.out, flush=True)

    def identified(self, arm_id: str) -> None:
        """Does nothing: the reader of the lines does not need the id."""


class Live:
    """A bar with stage, count, elapsed time and the time that the stage still needs."""

    def __init__(self, bar: "Bar", label: str, replicates: int) -> None:
        self.bar = bar
        self.task = bar.add_task(label, total=None, stage="start", replicates=replicates)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Moves the bar; the time left is that of the stage, the time elapsed the arm's."""
        self.bar.update(self.task, completed=done, total=total, stage=stage)

    def identified(self, arm_id: str) -> None:
        """Does nothing: the reader of the bar does not need the id."""


def _bar(out: TextIO) -> "Bar":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("[bold]{task.description}"),
        TextColumn("{task.fields[replicates]} replicates"),
        TextColumn("{task.fields[stage]}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(file=out),
        transient=True,
    )
