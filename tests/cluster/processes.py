"""Processes of trustbench on this machine, and what they leave behind."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("md", "csv", "json")
LIMIT_S = 600.0


def tables(outputs):
    """The rendered tables below a folder of outputs, as bytes."""
    return {
        path.name: path.read_bytes()
        for path in sorted((outputs / "tables").iterdir())
        if path.suffix[1:] in TABLES
    }


def environment():
    """The environment of a user's shell, without the Hydra or Ray settings of the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "TRUSTBENCH_"))}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


class Watched:
    """A process of trustbench; its standard error goes to a file."""

    def __init__(self, words, env):
        self.file = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by `kill`
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trustbench", *map(str, words)],
            stdout=subprocess.DEVNULL,
            stderr=self.file,
            env=env,
            start_new_session=True,
            preexec_fn=_interruptible,  # noqa: PLW1509  # tests that start it have one thread
        )

    def said(self):
        """All of its output so far."""
        self.file.seek(0)
        return self.file.read()

    def until(self, seen, what):
        """Waits until `seen(text)` is true for its output."""
        deadline = time.monotonic() + LIMIT_S
        while not seen(self.said()):
            assert self.process.poll() is None, f"it ended before {what}:\n{self.said()}"
            assert time.monotonic() < deadline, f"never {what}:\n{self.said()}"
            time.sleep(0.1)

    def ended(self, arms):
        """Waits until that many arms have ended well."""

        def seen(text):
            return sum(line.startswith("ok ") for line in text.splitlines()) >= arms

        self.until(seen, f"{arms} arms had ended")

    def wait(self):
        """Its exit code."""
        return self.process.wait(LIMIT_S)

    def interrupt(self):
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        """Kills it and everything it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.file.close()


def _interruptible():
    """Undoes what a background job of a shell inherits: interrupts that are ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def end_below(folder):
    """Kills the processes whose command names a folder: Ray's daemons leave their group."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            with suppress(ProcessLookupError):  # it ended with one that was killed before it
                os.kill(int(entry.name), signal.SIGKILL)


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("", 0))
        return s.getsockname()[1]


def listens(host, port):
    """Whether somebody listens on it now."""
    with socket.socket() as s:
        s.settimeout(1.0)
        return s.connect_ex((host, port)) == 0


def wait_for(true, what, seconds=60.0):
    """Waits until `true()`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not come up within {seconds:.0f} s"
        time.sleep(0.2)
