"""A sweep on machines that somebody else schedules: what starts, what starts again, when it ends.

Ray and SLURM each say how an arm is started and how it ended (`Machines`); the rest is the same:
what is finished needs no machine, an arm that died is tried again, one that failed costs the
others nothing, and a sweep that has no machine left ends with a reason instead of waiting forever.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from trustbench.config.arm_labels import label_of
from trustbench.config.arms import Arm
from trustbench.errors import TrustbenchError
from trustbench.execution import job as jobs
from trustbench.execution.job import Outcome
from trustbench.execution.pilot import settled
from trustbench.execution.plan import plan
from trustbench.launching.interrupts import Interrupts
from trustbench.launching.order import first_equal, starting_order
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

    def ended(self, timeout_s: float) -> Mapping[int, Outcome | Death]:
        """The arms that have ended since the last call; waits for one up to `timeout_s`."""

    def stop(self) -> None:
        """Ends what still runs, and leaves the machines."""


@dataclass(frozen=True)
class Rules:
    """When arms are started. `patience_s`: how long to wait when no machine has any room."""

    retries: int = 1
    patience_s: float = 120.0
    on_error: Literal["continue", "stop"] = "continue"


class Drive:
    """One sweep: what waits, what runs, what has ended."""

    def __init__(
        self, arms: Sequence[Arm], machines: Machines, rules: Rules, note: Callable[[str], None]
    ) -> None:
        self.arms, self.machines, self.rules, self.note = arms, machines, rules, note
        self.first = first_equal(arms)
        self.waiting = [i for i in starting_order(arms) if self.first[i] == i]
        self.running: set[int] = set()
        self.tries: Counter[int] = Counter()
        self.outcomes: dict[int, Outcome] = {}
        self.interrupts = Interrupts()
        self.failed: str | None = None
        self.told = False
        self.last_room = time.monotonic()

    def run(self) -> list[Outcome]:
        """The outcome of every arm, in the sweep's order; after an interrupt some say so."""
        with self.interrupts:
            try:
                self._look()
                while self.waiting or self.running:
                    self._turn()
            finally:
                self.machines.stop()
        for index, first in enumerate(self.first):
            if index != first:
                same = self.outcomes[first]
                self._close(index, replace(same, reused=same.status == "ok", seconds=0.0))
        return [self.outcomes[i] for i in range(len(self.arms))]

    def _look(self) -> None:
        """Ends the arms that an earlier run has finished."""
        for index in list(self.waiting):
            outcome = None if self.interrupts.stop else jobs.look(self.arms[index])
            if outcome is not None:
                self.waiting.remove(index)
                self._close(index, outcome)

    def _turn(self) -> None:
        why = self._why_not()
        if self.interrupts.now:
            for index in list(self.running):
                outcome = jobs.unfinished(self.arms[index], "interrupted", "stopped")
                self._close(index, outcome)
            self.running.clear()
        if why:
            self._start_no_more(why)
        else:
            self._start()
        for index, result in self.machines.ended(POLL_S).items():
            if index in self.running:
                self.running.discard(index)
                self._end(index, result)

    def _start(self) -> None:
        room = self.machines.room() if self.waiting else 0
        chosen, self.waiting = self.waiting[: max(room, 0)], self.waiting[max(room, 0) :]
        if chosen:
            self.running.update(chosen)
            self.tries.update(chosen)
            self.machines.start({i: _sent(self.arms[i]) for i in chosen})
        patience = self.rules.patience_s
        if room > 0 or self.running or not self.waiting:
            self.last_room = time.monotonic()
        elif time.monotonic() - self.last_room > patience:
            self._start_no_more(f"no machine has had room for an arm for {patience:.0f} s")

    def _end(self, index: int, result: Outcome | Death) -> None:
        """What becomes of an arm whose process has ended."""
        if isinstance(result, Outcome):
            self._close(index, _uploaded(self.arms[index], result))
            return
        arm, tried = self.arms[index], self.tries[index]
        if result.again and tried <= self.rules.retries and not self._why_not():
            self.note(f"{label_of(arm)}: {result.reason}; it is started again.")
            self.waiting.insert(0, index)
            return
        times = f"; tried {tried} times" if tried > 1 else ""
        self._close(index, jobs.died(arm, f"{result.reason}{times}", _arm_id(arm)))

    def _close(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        self.note(outcome.line())
        for line in (outcome.warning or "").splitlines():
            self.note(f"trustbench: warning: {line}")
        bad = outcome.status in ("failed", "timeout", "refused")
        if bad and self.rules.on_error == "stop":
            self.failed = self.failed or f"{outcome.label} {outcome.status}"

    def _why_not(self) -> str | None:
        """Why nothing more is started, or None."""
        if self.interrupts.stop:
            return "interrupted"
        return f"{self.failed}, and on_error=stop" if self.failed else None

    def _start_no_more(self, why: str) -> None:
        """Ends what waits, and says once what happens to what runs."""
        status = "interrupted" if self.interrupts.stop else "skipped"
        for index in self.waiting:
            self._close(index, jobs.unfinished(self.arms[index], status, f"not started: {why}"))
        self.waiting.clear()
        if self.interrupts.count == 1 and self.running and not self.told:
            self.told = True
            self.note(
                f"interrupted: nothing more is started; {len(self.running)} running arms are "
                "finished. Ctrl-C again stops them now: what they have stored is kept."
            )


def _sent(arm: Arm) -> Arm:
    """An arm as machines get it: a database in a file is for the processes of one machine only."""
    file = arm.tracking_uri is None or arm.tracking_uri.startswith("sqlite:")
    return replace(arm, uploads=not file)


def _uploaded(arm: Arm, outcome: Outcome) -> Outcome:
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
