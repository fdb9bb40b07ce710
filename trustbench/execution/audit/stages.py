"""The stages of an audit, reported to a command that shows them; silent otherwise."""

from contextvars import ContextVar
from typing import Protocol


class Watch(Protocol):
    """Receives each stage as it begins, and how far it has come."""

    def __call__(self, stage: str, detail: str = "", /) -> None:
        """A stage begins, or has come further."""


WATCH: ContextVar[Watch | None] = ContextVar("WATCH", default=None)
"""Receives the stages of audits in this context."""


def begin(stage: str, detail: str = "") -> None:
    """Tells the stage that an audit is at."""
    watch = WATCH.get()
    if watch is not None:
        watch(stage, detail)
