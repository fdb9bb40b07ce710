"""A tracking server on the loopback, and a proxy in front of it that can be cut."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.faults.processes import ROOT, children

START_S = 240.0


class TrackingServer:
    """`mlflow server` on a database of its own, started again whenever it dies.

    Trials share it; each empties it first.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it answers."""
        database = f"sqlite:///{self.folder / 'server.db'}"
        serve = shlex.join(
            [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database,
             "--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1",
             "--host", "127.0.0.1", "--port", str(self.port)]
        )  # fmt: skip
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", f"while :; do {serve}; sleep 0.2; done"],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            )
        self.wait()

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(URLError, OSError), urlopen(f"{self.uri}/health", timeout=5):
                return
            time.sleep(0.2)
        raise RuntimeError(f"the tracking server does not answer: {self.folder / 'server.log'}")

    def kill(self) -> None:
        """kill -9; it comes back by itself."""
        assert self.process is not None
        for pid in descendants(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def empty(self) -> None:
        """Deletes every run."""
        from mlflow import MlflowClient

        client = MlflowClient(self.uri)
        ids = [e.experiment_id for e in client.search_experiments()]
        while found := client.search_runs(ids):
            for run in found:
                client.delete_run(run.info.run_id)

    def close(self) -> None:
        """Ends it for good."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Proxy:
    """Forwards a port to the server; `cut` closes every connection and refuses new ones."""

    def __init__(self, to: int) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.proxy", str(self.port), str(to)],
            cwd=ROOT,
            start_new_session=True,
        )
        wait_for(self.port)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        self.process.send_signal(signal.SIGUSR1)

    def restore(self) -> None:
        self.process.send_signal(signal.SIGUSR2)
        wait_for(self.port)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for(port: int) -> None:
    """Waits until somebody listens."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port}")


def descendants(pid: int) -> list[int]:
    """All processes below a process."""
    found = children(pid)
    return found + [d for child in found for d in descendants(child)]
