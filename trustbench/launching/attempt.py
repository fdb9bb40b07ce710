"""One attempt at an arm, as seen by its parent: a process, its messages, and its end."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess

from trustbench.config.arms import Arm
from trustbench.execution.job import ArmOutcome
from trustbench.launching import child
from trustbench.launching.messages import Crashed, Ended, Identified, Message, Stage
from trustbench.launching.processes import kill_tree, memory_kills, resident_gb, stopped
from trustbench.launching.schedule import ScheduledArm
from trustbench.launching.server import ForkServer
from trustbench.launching.slots import Slot
from trustbench.store.records import Store

Work = Callable[[Arm], ArmOutcome]
END_S = 10.0  # how long a process may take to end after its last message
STOPPED_S = 10.0  # after which a process that a signal has stopped is continued


class Attempt:
    """A running process. `stop` names the reason for which the pool killed it."""

    def __init__(self, job: ScheduledArm, slot: Slot, server: ForkServer, work: Work) -> None:
        self.job, self.slot = job, slot
        self.started = time.monotonic()
        self.stage = Stage("start", 0, 0)
        self.stage_started = self.started
        self.arm_id: str | None = None
        self.last: Ended | Crashed | None = None
        self.stop: str | None = None
        self.silent_since: float | None = None
        self.memory, self.memory_seen = 0.0, 0.0
        self.stopped_since: float | None = None
        self.memory_kills = memory_kills()
        self.store = Store(job.arm.output_dir)
        header = f"arm {job.name!r} ({job.label}), attempt {job.attempts + 1}"
        self.pipe, end = server.context.Pipe()
        self.process: ForkServerProcess = server.process(
            child.main, end, self.store.root, header, dict(slot.environment(job.arm))
        )
        end.close()
        assert self.process.pid is not None
        self.pid: int = self.process.pid
        self.end = End(self.process)
        with contextlib.suppress(OSError):  # it has already died: its end will be noticed
            self.pipe.send((work, job.arm))

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.started

    def seconds_left(self) -> float | None:
        """The seconds that its stage still needs at the pace so far; None before there is one."""
        stage, passed = self.stage, time.monotonic() - self.stage_started
        if not 0 < stage.done < stage.total:
            return None
        return passed * (stage.total - stage.done) / stage.done

    def receive(self) -> list[Message]:
        """The messages of the process since the last call."""
        messages: list[Message] = []
        try:
            while self.pipe.poll():
                messages.append(self.pipe.recv())
        except (EOFError, OSError):  # it has ended, perhaps in the middle of a message
            self.silent_since = self.silent_since or time.monotonic()
        for message in messages:
            match message:
                case Stage():
                    if message.name != self.stage.name:
                        self.stage_started = time.monotonic()
                    self.stage = message
                case Identified():
                    self.arm_id = message.arm_id
                case Ended() | Crashed():
                    self.last = message
        return messages

    def handles(self) -> list[object]:
        """Handles that become ready when it has sent a message, or has ended."""
        return [self.end.handle, *([self.pipe] if self.silent_since is None else [])]

    def has_ended(self) -> bool:
        """Whether the process has ended; one that only closed its pipe is terminated."""
        if self.silent_since is not None and time.monotonic() - self.silent_since > END_S:
            kill_tree(self.pid)
        if self.end.has_occurred():
            return True
        self.memory_kills = memory_kills()
        return False

    def memory_gb(self, every_s: float) -> float:
        """The resident memory of its processes, measured within the last `every_s`."""
        if time.monotonic() - self.memory_seen > every_s:
            self.memory, self.memory_seen = resident_gb(self.pid), time.monotonic()
        return self.memory

    def continued(self) -> bool:
        """Whether its process had been stopped by a signal for a while; it is then continued."""
        now = time.monotonic()
        if not stopped(self.pid):
            self.stopped_since = None
        elif self.stopped_since is None:
            self.stopped_since = now
        elif now - self.stopped_since > STOPPED_S:
            self.stopped_since = None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGCONT)
            return True
        return False

    def kill(self, why: str) -> None:
        """Kills the process and all its descendants."""
        self.stop = self.stop or why
        kill_tree(self.pid)

    def close(self) -> str:
        """Releases an ended process and kills what it left behind; returns how it ended."""
        kills = memory_kills()
        kill_tree(self.pid)
        self.process.join(END_S)
        self.pipe.close()
        self.end.close()
        return _ending(self.process.exitcode, self.memory_kills, kills)

    @property
    def log(self) -> str | None:
        """The file to which the process prints; None if it could not be made."""
        store = self.store
        path = store.log_file(self.arm_id) if self.arm_id else store.early_log(self.pid)
        return str(path) if path.exists() else None


class End:
    """Signals the end of a process, even if the fork server died before it."""

    def __init__(self, process: ForkServerProcess) -> None:
        assert process.pid is not None
        self.handle, self.own = process.sentinel, False
        if hasattr(os, "pidfd_open"):  # Linux
            with contextlib.suppress(ProcessLookupError):  # it has ended: the sentinel says so
                self.handle, self.own = os.pidfd_open(process.pid), True

    def has_occurred(self) -> bool:
        """Whether it has occurred."""
        return bool(connection.wait([self.handle], timeout=0))

    def close(self) -> None:
        """Frees the handle."""
        if self.own:
            os.close(self.handle)


def _ending(code: int | None, kills_before: int | None, kills: int | None) -> str:
    """How a process ended, as the middle of a sentence.

    `kills_before` and `kills` count the processes killed for lack of memory, shortly before its end
    and after it.
    """
    if code is None or code == 255:  # also the code of a process whose fork server died
        return "exited with unknown status"
    if code >= 0:
        return f"ended with exit code {code}"
    if code == -signal.SIGKILL and kills != kills_before:
        return "was killed because the machine, or its container, ran out of memory"
    names = {s.value: s.name for s in signal.Signals}
    return f"died with signal {-code}, {names.get(-code, 'unknown')}"
