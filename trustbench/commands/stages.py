"""What a command is doing, on standard error: a live line on a terminal, plain lines elsewhere."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from trustbench.errors import printable
from trustbench.execution.audit.stages import WATCH

REFRESH_S = 0.5
"""How often the line of a terminal is written anew."""
REPEAT_S = 10.0
"""How often a file or pipe gets another line about the same stage."""


@contextmanager
def shown(command: str, out: TextIO | None = None) -> Iterator[None]:
    """Shows the stages of a command until the block ends; the first line appears at once."""
    out = out or sys.stderr
    display = LiveStage(command, out) if out.isatty() else StageLines(command, out)
    token = WATCH.set(display)
    display("loading")
    try:
        yield
    finally:
        WATCH.reset(token)
        display.close()


class StageLines:
    """A line for each stage, and one now and then for a stage that takes long."""

    def __init__(self, command: str, out: TextIO) -> None:
        self.command, self.out = command, out
        self.started = self.written = time.monotonic()
        self.stage = ""

    def __call__(self, stage: str, detail: str = "") -> None:
        """Writes a stage that is new, or that was last written a while ago."""
        now = time.monotonic()
        if stage != self.stage or now - self.written >= REPEAT_S:
            self.stage, self.written = stage, now
            print(self.line(stage, detail), file=self.out, flush=True)

    def line(self, stage: str, detail: str) -> str:
        """The seconds since the start, and the stage."""
        elapsed = time.monotonic() - self.started
        text = f"{stage}: {detail}" if detail else stage
        return f"[{self.command}] {elapsed:z6.1f} s  {printable(text)}"

    def close(self) -> None:
        """Does nothing: lines stay."""


class LiveStage(StageLines):
    """One line that counts the seconds, and is gone at the end."""

    def __init__(self, command: str, out: TextIO) -> None:
        super().__init__(command, out)
        self.now = ("loading", "")
        self.ended = threading.Event()
        self.clock = threading.Thread(target=self._count, daemon=True)
        self.clock.start()

    def __call__(self, stage: str, detail: str = "") -> None:
        """Shows another stage; further details wait for the next second half."""
        new, self.now = stage != self.now[0], (stage, detail)
        if new:
            self._write()

    def close(self) -> None:
        """Removes the line."""
        self.ended.set()
        self.clock.join()
        print("\r\x1b[K", end="", file=self.out, flush=True)

    def _count(self) -> None:
        self._write()
        while not self.ended.wait(REFRESH_S):
            self._write()

    def _write(self) -> None:
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[K{self.line(*self.now)[:width]}", end="", file=self.out, flush=True)
