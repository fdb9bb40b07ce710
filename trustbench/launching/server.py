"""The fork server: one process with all imports, of which each arm's process is a fork."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from trustbench.errors import TrustbenchError
from trustbench.launching import preload
from trustbench.launching.streams import open_streams

# For the imports only: each arm's process gets the parent's environment and its own threads.
ENVIRONMENT = {
    preload.SERVER: "1",
    # thread pools are created on import, and threads do not survive a fork
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # counting the devices does not start CUDA
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    # the server must not import modules from the working directory
    "PYTHONSAFEPATH": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}


TRIES = 3


class ForkServer:
    """The machinery of `multiprocessing`, started early and watched until it is ready."""

    def __init__(self) -> None:
        self.context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._warmed: threading.Thread | None = None
        self._error: Exception | None = None

    def start(self) -> None:
        """Starts the server unless one runs; returns at once, while it imports."""
        open_streams()  # the server's own pipes must not get the number of a closed stream
        self.context.set_forkserver_preload([preload.__name__])
        resource_tracker.ensure_running()  # first: it lifts the mask when it starts
        with _environment(ENVIRONMENT), _no_interrupts():
            forkserver.ensure_running()
        if self._warmed is None:
            self._warmed = threading.Thread(target=self._warm, daemon=True)
            self._warmed.start()

    def ready(self) -> bool:
        """Whether a process starts at once.

        Raises:
            TrustbenchError: the server died.
        """
        if self._error is not None:
            raise _dead(self._error)
        return self._warmed is not None and not self._warmed.is_alive()

    def process(self, target: Any, *args: Any) -> ForkServerProcess:
        """A started process that runs `target(*args)`.

        Raises:
            TrustbenchError: the server dies again and again.
        """
        for _ in range(TRIES):
            self.start()  # it may have been killed meanwhile
            process: ForkServerProcess = self.context.Process(target=target, args=args)
            try:
                with _HIDDEN_MAIN:
                    process.start()
            except (EOFError, OSError) as error:
                self._error = error
            else:
                self._error = None
                return process
        assert self._error is not None
        raise _dead(self._error)

    def _warm(self) -> None:
        """Starts a process that does nothing: it ends once the server has imported everything."""
        process = self.context.Process(target=_nothing)
        try:
            with _HIDDEN_MAIN:
                process.start()
            process.join()
        except (EOFError, OSError) as error:
            self._error = error


class _HiddenMain:
    """Keeps `multiprocessing` from running the user's script again in every process.

    A script that calls `trustbench.run` then needs no `if __name__ == "__main__":`: what an arm's
    process needs is importable.
    """

    def __init__(self) -> None:
        self._lock, self._file = threading.Lock(), ""

    def __enter__(self) -> None:
        self._lock.acquire()
        self._file = vars(sys.modules["__main__"]).pop("__file__", "")

    def __exit__(self, *_: object) -> None:
        if self._file:
            vars(sys.modules["__main__"])["__file__"] = self._file
        self._lock.release()


_HIDDEN_MAIN = _HiddenMain()


def _dead(error: Exception) -> TrustbenchError:
    made = TrustbenchError(
        "the process that starts the arms' processes died; what it said is above. "
        "hydra/launcher=basic runs the arms one after another, without it."
    )
    made.__cause__ = error
    return made


def _nothing() -> None:
    """The target of the first process."""


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    old = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """Processes started inside never see Ctrl-C: the pool decides how they end."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
