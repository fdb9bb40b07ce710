"""The live table of a sweep's arms on a terminal."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from trustbench.execution.job import ArmOutcome
from trustbench.launching.attempt import Attempt
from trustbench.launching.messages import Message
from trustbench.launching.schedule import ScheduledArm
from trustbench.summary.render.escaping import visible

REDRAW_S = 0.25
WIDEST = 36  # maximum characters of a name or a reason; failures are shown in full above the table
STYLES = {"ok": "green", "kept": "green", "unsupported": "yellow", "queued": "dim", "running": ""}


class LiveTable:
    """All running and failed arms, as many others as fit, and their number.

    The output of arms goes to their log files, so nothing else writes to the terminal meanwhile.
    """

    def __init__(self, jobs: Sequence[ScheduledArm], out: TextIO) -> None:
        self.jobs = jobs
        self.running: dict[int, Attempt] = {}
        self.outcomes: dict[int, ArmOutcome] = {}
        self.live = Live(console=Console(file=out), auto_refresh=False, transient=True)
        self.drawn = 0.0

    def __enter__(self) -> "LiveTable":
        self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.live.stop()

    def started(self, attempt: Attempt) -> None:
        """Shows the arm as running."""
        self.running[attempt.job.index] = attempt
        self.tick(at_once=True)

    def received(self, attempt: Attempt, message: Message) -> None:
        """The attempt knows; the next redraw shows it."""

    def ended(self, job: ScheduledArm, outcome: ArmOutcome) -> None:
        """Shows the end; failures also stay above the table."""
        self.running.pop(job.index, None)
        self.outcomes[job.index] = outcome
        if outcome.status != "ok":
            self.note(outcome.line())
        for text in outcome.warnings():
            self.note(text)
        self.tick(at_once=True)

    def note(self, text: str) -> None:
        """Prints above the table."""
        self.live.console.print(Text(visible(text)))

    def tick(self, *, at_once: bool = False) -> None:
        """Redraws at most a few times a second."""
        now = time.monotonic()
        if at_once or now - self.drawn >= REDRAW_S:
            self.drawn = now
            self.live.update(self.draw(self.live.console.height - 3), refresh=True)

    def draw(self, height: int) -> Group:
        """The table in `height` lines."""
        grid = Grid(box=None, pad_edge=False, header_style="dim")
        for heading in ("arm", "what"):
            grid.add_column(heading, no_wrap=True, overflow="ellipsis", max_width=WIDEST)
        grid.add_column("status", no_wrap=True)
        for heading in ("done", "elapsed", "left"):
            grid.add_column(heading, justify="right", no_wrap=True)
        grid.add_column("why", no_wrap=True, overflow="ellipsis", max_width=WIDEST)
        for job in self._chosen(max(1, height - 2)):
            grid.add_row(*self._row(job))
        return Group(grid, Text(self.counts(), style="dim"))

    def counts(self) -> str:
        """The number of arms in each state, and how long the rest may take."""
        found = Counter(map(self.status, self.jobs))
        counts = ", ".join(f"{n} {status}" for status, n in sorted(found.items()))
        if not self.running and not self.outcomes:
            return f"{counts}; importing what arms need"
        left = self._left()
        return counts if left is None else f"{counts}; about {_clock(left)} left"

    def _left(self) -> float | None:
        """Remaining seconds if the rest takes as long as the ended arms; None without any."""
        took = [o.seconds for o in self.outcomes.values() if o.status == "ok" and not o.reused]
        if not took or not self.running:
            return None
        each = sum(took) / len(took)
        ahead = each * (len(self.jobs) - len(self.outcomes))
        behind = sum(min(a.seconds, each) for a in self.running.values())
        return (ahead - behind) / len(self.running)

    def status(self, job: ScheduledArm) -> str:
        """The state of an arm."""
        outcome = self.outcomes.get(job.index)
        if outcome is not None:
            return outcome.status_text
        return "running" if job.index in self.running else "queued"

    def _chosen(self, count: int) -> Iterable[ScheduledArm]:
        """The arms shown, in the order of the sweep."""
        rank = {"running": 0, "queued": 2, "ok": 3, "kept": 4}
        ranked = sorted(self.jobs, key=lambda job: (rank.get(self.status(job), 1), job.index))
        return sorted(ranked[:count], key=lambda job: job.index)

    def _row(self, job: ScheduledArm) -> list[Text]:
        status, outcome = self.status(job), self.outcomes.get(job.index)
        attempt, done, elapsed, left, why = self.running.get(job.index), "", "", "", ""
        if attempt is not None:
            status, elapsed = attempt.stage.name, _clock(attempt.seconds)
            if attempt.stage.total:
                done = f"{attempt.stage.done}/{attempt.stage.total}"
            left = _clock(attempt.seconds_left())
        elif outcome is not None:
            elapsed, why = _clock(outcome.seconds), outcome.first_line
        style = STYLES.get(self.status(job), "red")
        cells = [Text(job.name), Text(job.label), Text(status, style=style)]
        return [*cells, *map(Text, (done, elapsed, left, visible(why)))]


def _clock(seconds: float | None) -> str:
    """Minutes and seconds, with hours if needed.

    >>> _clock(75.2), _clock(3675), _clock(None)
    ('1:15', '1:01:15', '')
    """
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
