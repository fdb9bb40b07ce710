"""An arm's process: a fork of the server that runs one arm and reports over a pipe."""

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from pathlib import Path

from trustbench.errors import TrustbenchError
from trustbench.execution.progress import REPORTS
from trustbench.launching.messages import Crashed, Ended, Identified, Message, Stage
from trustbench.launching.processes import kill_descendants
from trustbench.store.files import make_way, unwritable
from trustbench.store.records import Store
from trustbench.store.redaction import redact

EVERY_S = 0.1  # minimum interval between progress messages within a stage


def main(pipe: Connection, root: Path, header: str, environment: Mapping[str, str]) -> None:
    """Receives a function and an arm, runs it, and sends back its outcome."""
    os.setsid()  # a group of its own, so that it can be killed with all its descendants
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    last: Message
    try:
        log = Log(Store(root), header)
        work, arm = pipe.recv()
        REPORTS.set(PipeReports(pipe, log))
        last = Ended(work(arm))
    except TrustbenchError as error:  # its log cannot be written
        last = Crashed(redact(str(error)))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # around an arm: reported, not retried
        print(redact(traceback.format_exc()), end="", file=sys.stderr)  # noqa: T201
        last = Crashed(redact(f"{type(error).__name__}: {error}"))
    pipe.send(last)
    sys.stdout.flush()
    sys.stderr.flush()
    kill_descendants(os.getpid())  # processes that left the group are known only now
    os._exit(0)  # no library's exit hook or forgotten thread keeps the slot


class Log:
    """The target of standard output and error: the arm's log, once its id is known."""

    def __init__(self, store: Store, header: str) -> None:
        self.store, self.header = store, header
        self.early: Path | None = store.early_log(os.getpid())
        self._write_to(self.early)
        print(f"--- {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, {header}", flush=True)  # noqa: T201

    def identified(self, arm_id: str) -> None:
        """Continues in the arm's log, with the output so far."""
        if self.early is None:
            return
        early, self.early = self.early, None
        path = self.store.log_file(arm_id)
        self._write_to(path)
        with early.open("rb") as said, path.open("ab") as log:
            shutil.copyfileobj(said, log)
        early.unlink()
        with contextlib.suppress(OSError):  # another process starts and has its own file there
            early.parent.rmdir()

    def _write_to(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            make_way(path)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise unwritable(path, error) from error
        for name, number in (("stdout", 1), ("stderr", 2)):
            getattr(sys, name).flush()
            os.dup2(handle, number)
            # made anew, since the parent's may be anything; a notebook's is not even a file
            stream = os.fdopen(
                number, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False
            )
            setattr(sys, name, stream)
        os.close(handle)


class PipeReports:
    """The arm's progress, sent to the parent."""

    def __init__(self, pipe: Connection, log: Log) -> None:
        self.pipe, self.log = pipe, log
        self.stage, self.sent = "", 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Sends a new stage at once, and progress within a stage at intervals."""
        now = time.monotonic()
        if stage == self.stage and now - self.sent < EVERY_S:
            return
        self.stage, self.sent = stage, now
        self._send(Stage(stage, done, total))

    def identified(self, arm_id: str) -> None:
        """Tells the parent which record the arm writes."""
        self.log.identified(arm_id)
        self._send(Identified(arm_id))

    def _send(self, message: Message) -> None:
        with contextlib.suppress(BrokenPipeError):  # the parent is gone, and this ends too
            self.pipe.send(message)


def _die_with_parent() -> None:
    """Kills this process and all its descendants when the parent dies."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os.killpg(os.getpid(), signal.SIGKILL)
