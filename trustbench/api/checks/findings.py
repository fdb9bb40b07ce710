"""One check and its result."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from trustbench.contracts import CHANNELS, Problem, Schedule, System
from trustbench.errors import TrustbenchError

SCHEDULE = Schedule(regime="tuned", epochs=2, batch_size=32, lr=0.1)


class Broken(Exception):
    """A plugin breaks its contract; the message says how, and what to do."""


@dataclass(frozen=True)
class Finding:
    """One check: passed, unless `problem` says what is wrong and what to do."""

    check: str
    problem: str | None = None
    note: str = ""
    """What a passed check could not examine, and why."""

    def line(self) -> str:
        """The finding as one line."""
        said = f": {self.problem or self.note}" if self.problem or self.note else ""
        return f"{'FAIL' if self.problem else 'ok':<5} {self.check}{said}"


Check = tuple[str, Callable[[], str | None]]
"""A check's name, and the function that raises Broken, or returns a note."""


def findings(checks: Iterable[Check]) -> Iterator[Finding]:
    """Runs the checks; an exception from foreign code is a finding, and the next check runs."""
    for name, check in checks:
        try:
            yield Finding(name, note=check() or "")
        except (Broken, TrustbenchError) as error:
            yield Finding(name, " ".join(str(error).split()))
        except Exception as error:  # noqa: BLE001  # around a plugin's code: reported, not raised
            told = " ".join(str(error).split())
            yield Finding(name, f"{type(error).__name__}: {told} ({_place(error)}); correct it.")


def require(holds: object, problem: str) -> None:
    """Raises Broken with this sentence unless something holds."""
    if not holds:
        raise Broken(problem)


def reason_of(answer: object, what: str) -> str | None:
    """The answer of `supports`: None or a sentence; raises Broken for anything else."""
    if answer is None or (isinstance(answer, str) and answer.strip()):
        return answer
    raise Broken(f"{what}.supports returns {answer!r}; return None, or the reason as a sentence.")


def same(a: Any, b: Any) -> bool:
    """Whether two tensors are equal, number by number."""
    return bool(a.shape == b.shape and torch.equal(a, b))


def channels(system: System) -> list[Any]:
    """The content of each channel of a system; of its data, which problem it is."""
    found = [getattr(system, c) for c in CHANNELS]
    found = [id(v) if isinstance(v, Problem) else v for v in found]
    return [dict(v) if isinstance(v, dict) else v for v in found]


def _place(error: BaseException) -> str:
    """The file and line where an error was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "no place"
