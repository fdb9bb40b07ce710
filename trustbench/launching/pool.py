"""The pool: the arms of a sweep, each in its own process, as many at once as fit.

The parent computes nothing of an arm; it only checks whether the arm is finished. If an arm's
process dies, the others continue and its record says what happened.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing import connection
from typing import Any, Literal

from trustbench.config.arms import Arm
from trustbench.config.binding import bind
from trustbench.execution import job as jobs
from trustbench.execution.job import Outcome
from trustbench.launching.attempt import Attempt, Job, Work
from trustbench.launching.interrupts import Interrupts
from trustbench.launching.messages import Crashed, Ended
from trustbench.launching.options import Options
from trustbench.launching.order import first_equal, starting_order
from trustbench.launching.server import Server
from trustbench.launching.slots import Slots
from trustbench.launching.view import View, shown
from trustbench.store.records import Store

TICK_S = 0.2
LOOK_S = 5.0  # maximum time spent on checking arms that turn out to be unfinished
MEMORY_S = 0.5  # interval between measurements of an arm's memory
SERVER = Server()  # one for the process: its imports serve every sweep


def opened(settings: Mapping[str, Any]) -> "Pool":
    """The pool with the settings of `hydra.launcher`.

    Raises:
        ConfigError: every problem of the settings.
    """
    gpus = settings.get("gpus")
    if isinstance(gpus, list):  # YAML reads ids as numbers
        settings = {**settings, "gpus": [str(g) if isinstance(g, int) else g for g in gpus]}
    return Pool(bind(Options, settings, "hydra.launcher"))


class Pool:
    """Runs sweeps; after an interrupt, or a failure with on_error=stop, it starts nothing."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.interrupts = Interrupts()
        self.failed: str | None = None

    def warm_up(self, arm: Arm) -> None:
        """Starts the server, unless an earlier run may have left nothing to do."""
        if not Store(arm.output_dir).used:
            SERVER.start()

    def run(self, arms: Mapping[str, Arm], work: Work) -> list[Outcome]:
        """Returns the outcome of every arm, in their order; `work` runs one in its process.

        Raises:
            TrustbenchError: no process can be started.
        """
        every = [Job(i, name, arm) for i, (name, arm) in enumerate(arms.items())]
        first = first_equal([job.arm for job in every])
        with self.interrupts, shown(every) as view:
            run = _Run(self, [job for job in every if first[job.index] == job.index], work, view)
            outcomes = run.outcomes()
            for job in every:
                if first[job.index] != job.index:
                    same = outcomes[first[job.index]]
                    outcomes[job.index] = replace(same, reused=same.status == "ok", seconds=0.0)
                    view.ended(job, outcomes[job.index])
        return [outcomes[job.index] for job in every]


class _Run:
    """One sweep: what waits, what runs, what has ended."""

    def __init__(self, pool: Pool, every: Sequence[Job], work: Work, view: View) -> None:
        self.pool, self.options, self.interrupts = pool, pool.options, pool.interrupts
        self.work, self.view = work, view
        arms = [job.arm for job in every]
        self.slots = Slots(self.options, arms)
        self.waiting = [every[i] for i in starting_order(arms)]
        self.running: list[Attempt] = []
        self.ended: dict[int, Outcome] = {}
        self.told = False

    def outcomes(self) -> dict[int, Outcome]:
        """The outcome of every arm, by index."""
        self._look()
        try:
            while self.waiting or self.running:
                if self._why_not():
                    self._start_no_more()
                elif SERVER.ready():
                    self._start()
                self._watch()
        finally:
            for attempt in self.running:
                attempt.kill("the sweep ended")
                attempt.close()
        return self.ended

    def _look(self) -> None:
        """Ends the arms that an earlier run finished: they need no process.

        The check reads an arm's data. If that takes long and is in vain, processes do it
        concurrently.
        """
        waiting, self.waiting = self.waiting, []
        in_vain = 0.0
        for job in waiting:
            started = time.monotonic()
            outcome = None if in_vain > LOOK_S or self._why_not() else jobs.look(job.arm)
            if outcome is None:
                self.waiting.append(job)
                SERVER.start()
                in_vain += time.monotonic() - started
            else:
                self._end(job, outcome)

    def _watch(self) -> None:
        """Waits briefly for running arms, and closes those that ended or exceeded their limits."""
        handles = [h for attempt in self.running for h in attempt.handles()]
        if handles:
            connection.wait(handles, timeout=TICK_S)  # type: ignore[arg-type]
        elif self.waiting:
            time.sleep(TICK_S / 4)
        for attempt in list(self.running):
            for message in attempt.receive():
                self.view.said(attempt, message)
            self._limit(attempt)
            if attempt.gone():
                self._close(attempt)
        self.view.tick()

    def _start(self) -> None:
        for job in list(self.waiting):
            if not len(self.slots):
                return
            slot = self.slots.take(job.arm)
            if slot is not None:
                self.waiting.remove(job)
                attempt = Attempt(job, slot, SERVER, self.work)
                self.running.append(attempt)
                self.view.started(attempt)

    def _limit(self, attempt: Attempt) -> None:
        """Kills an arm that exceeds its limits, or every arm at the user's request."""
        seconds, gb = self.options.timeout_s, self.options.memory_gb
        if self.interrupts.now:
            attempt.kill("interrupted")
        elif seconds is not None and attempt.seconds > seconds:
            attempt.kill("timeout")
        elif gb is not None and attempt.memory_gb(MEMORY_S) > gb:
            attempt.kill("memory")

    def _close(self, attempt: Attempt) -> None:
        """Handles the end of an arm's process."""
        for message in attempt.receive():
            self.view.said(attempt, message)
        how = attempt.close()
        self.running.remove(attempt)
        self.slots.give_back(attempt.slot)
        job, where = attempt.job, attempt.stage.name
        if isinstance(attempt.last, Ended):
            self._end(job, attempt.last.outcome, attempt)
        elif isinstance(attempt.last, Crashed):
            self._fail(attempt, attempt.last.reason)
        elif attempt.stop == "timeout":
            reason = f"it ran longer than timeout_s={self.options.timeout_s:g}; stopped at {where}"
            self._fail(attempt, reason, "timeout")
        elif attempt.stop == "memory":
            reason = f"it held more than memory_gb={self.options.memory_gb:g}; stopped at {where}"
            self._fail(attempt, reason)
        elif self.interrupts.now:
            self._end(job, jobs.unfinished(job.arm, "interrupted", f"stopped at {where}"), attempt)
        elif job.attempts <= self.options.retries and not self._why_not():
            self.view.note(f"{job.label}: its process {how} at {where}; it is started again.")
            self.waiting.insert(0, job)
        else:
            tried = f"; tried {job.attempts} times" if job.attempts > 1 else ""
            self._fail(attempt, f"its process {how} at {where}{tried}")

    def _fail(
        self, attempt: Attempt, reason: str, status: Literal["failed", "timeout"] = "failed"
    ) -> None:
        job = attempt.job
        self._end(job, jobs.died(job.arm, reason, attempt.arm_id, status, attempt.seconds), attempt)

    def _end(self, job: Job, outcome: Outcome, attempt: Attempt | None = None) -> None:
        if attempt is not None and outcome.status not in ("ok", "unsupported", "refused"):
            outcome = replace(outcome, log=attempt.log)
        self.ended[job.index] = outcome
        if outcome.status in ("failed", "timeout", "refused") and self.options.on_error == "stop":
            self.pool.failed = self.pool.failed or f"{job.name} {outcome.status}"
        self.view.ended(job, outcome)

    def _why_not(self) -> str | None:
        """Why nothing more is started, or None."""
        if self.interrupts.stop:
            return "interrupted"
        return f"{self.pool.failed}, and on_error=stop" if self.pool.failed else None

    def _start_no_more(self) -> None:
        """Ends waiting arms, and reports once what happens to running ones."""
        why = self._why_not()
        status = "interrupted" if self.interrupts.stop else "skipped"
        for job in self.waiting:
            outcome = jobs.unfinished(job.arm, status, f"not started: {why}")
            self._end(job, outcome)
        self.waiting.clear()
        if self.interrupts.count == 1 and self.running and not self.told:
            self.told = True
            self.view.note(
                f"interrupted: nothing more is started; {len(self.running)} running arms are "
                "finished. Ctrl-C again stops them now: what they have stored is kept."
            )
