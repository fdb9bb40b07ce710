"""Ctrl-C while arms run: once to start nothing more, twice to stop now."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """Counts interrupts instead of raising KeyboardInterrupt; a termination counts as two.

    Outside the main thread, where Python delivers no signals, it sees none.
    """

    def __init__(self) -> None:
        self.count = 0
        self._old: dict[signal.Signals, Any] = {}

    @property
    def stop(self) -> bool:
        """Whether nothing more should be started."""
        return self.count >= 1

    @property
    def now(self) -> bool:
        """Whether running arms should be stopped as well."""
        return self.count >= 2

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for which, weight in ((signal.SIGINT, 1), (signal.SIGTERM, 2)):
                self._old[which] = signal.signal(which, self._counter(weight))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for which, old in self._old.items():
            signal.signal(which, old)
        self._old.clear()

    def _counter(self, weight: int) -> Any:
        def count(_number: int, _frame: FrameType | None) -> None:
            self.count += weight

        return count
