"""trustbench processes that start at once, as forks of one that has imported everything.

A fork runs `cli.main` as `python -m trustbench` does. Its fork server is a fork too: the same
server, without the seconds that its imports take. `Run(..., fresh=True)` starts a new interpreter
instead, as a user does.
"""

import atexit
import contextlib
import ctypes
import errno
import importlib
import mmap
import multiprocessing.util
import os
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# beside what the fork server imports
HEAVY = ("trustbench.commands.cli", "trustbench.launching.pool", "matplotlib.backends.backend_agg")
_SUBREAPER, _DEATH_SIGNAL = 36, 1  # of prctl


class Hang(Exception):
    """A process did not end in time."""


def preload() -> None:
    """Imports what a run and its fork server need, on one thread, so that a fork is whole."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", PYTHONPATH=str(ROOT))
    from trustbench.launching import preload as server

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about their own dependencies
        for name in (*server.MODULES, *server._plugins(), *HEAVY):
            importlib.import_module(name)
    import torch

    torch.set_num_threads(1)


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose own parent dies: none is overlooked."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1)


def die_with_parent() -> None:
    """Has this process killed as soon as its parent ends."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)


class Run:
    """A `trustbench` command; what it says is in `log`."""

    def __init__(
        self,
        args: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        fresh: bool = False,
        patch: Callable[[], None] | None = None,
    ) -> None:
        self.log, self.started = log, time.monotonic()
        self.code: int | None = None
        arguments = [str(a) for a in args]
        changes = {"PYTHONSAFEPATH": "1", **(environment or {})}
        self.pid = (
            _spawn(arguments, log, changes) if fresh else _fork(arguments, log, changes, patch)
        )

    def alive(self) -> bool:
        """Whether it still runs; notices when it has ended."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is None

    def signal(self, which: signal.Signals) -> None:
        """Sends a signal to this process alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, which)

    def wait(self, seconds: float) -> int:
        """The exit code; minus the signal's number for one that was killed."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                raise Hang(f"{self.log} did not end in {seconds:.0f} s")
            time.sleep(0.01)
        assert self.code is not None
        return self.code

    def servers(self) -> list[int]:
        """The fork server, when there is one: the child with the arms' processes below it."""
        return [p for p in children(self.pid) if b"resource_tracker" not in _command(p)]

    def arms(self) -> list[int]:
        """The processes of the arms that run."""
        return [c for p in self.servers() for c in children(p)]


class FullDisk:
    """A disk that is full once `count` files were flushed, for runs that are forks of this one.

    Where nobody may mount a small disk: the flush before a file gets its name fails instead.
    """

    def __init__(self, count: int) -> None:
        self.left = mmap.mmap(-1, 8)  # shared by all forks
        self._set(count)

    def _set(self, count: int) -> None:
        self.left[:8] = count.to_bytes(8, "little", signed=True)

    def __call__(self) -> None:
        """Patches this process and its forks."""
        flush = os.fsync

        def fsync(handle: int) -> None:
            count = int.from_bytes(self.left[:8], "little", signed=True) - 1
            self._set(count)
            if count < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            flush(handle)

        os.fsync = fsync  # type: ignore[assignment]


class Pause:
    """A training that stops after a number of checkpoints, for runs that are forks of this.

    A checkpoint of the small sweep lives for less time than a fault needs to come.
    """

    def __init__(self, count: int) -> None:
        self.left, self.count = mmap.mmap(-1, 8), count

    @property
    def reached(self) -> bool:
        """Whether it stands."""
        return int.from_bytes(self.left[:8], "little") >= self.count

    def __call__(self) -> None:
        """Patches this process and its forks."""
        from trustbench.training import fits

        write = fits.write_checkpoint

        def write_checkpoint(folder: Path, state: Any) -> None:
            write(folder, state)
            self.left[:8] = (int.from_bytes(self.left[:8], "little") + 1).to_bytes(8, "little")
            if self.reached:
                signal.pause()

        fits.write_checkpoint = write_checkpoint


def children(pid: int) -> list[int]:
    """The children of a process."""
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def left_behind(seconds: float, spared: Collection[int] = ()) -> list[str]:
    """The commands of this process's descendants that have not ended in time; they are killed."""
    deadline = time.monotonic() + seconds
    _reap()
    while set(children(os.getpid())) - set(spared) and time.monotonic() < deadline:
        time.sleep(0.02)
        _reap()
    found = []
    for pid in set(children(os.getpid())) - set(spared):
        found.append(f"{pid} {_command(pid).decode(errors='replace')[-80:]}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _reap()
    return found


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return b""


def _spawn(args: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "trustbench", *args],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**os.environ, **environment},
            start_new_session=True,
            preexec_fn=_begin,  # noqa: PLW1509  # there is one thread
        )
    process.returncode = 0  # `Run` waits for it
    return process.pid


def _fork(
    args: Sequence[str], log: Path, environment: Mapping[str, str], patch: Callable[[], None] | None
) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        _begin()
        os.setsid()
        _redirect(log)
        os.environ.update(environment)
        sys.modules["__main__"] = types.ModuleType("__main__")  # what workers import again
        multiprocessing.util.spawnv_passfds = _server_by_fork(multiprocessing.util.spawnv_passfds)
        if patch is not None:
            patch()
        from trustbench.commands import cli

        code = cli.main(list(args))
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _begin() -> None:
    """What a new process of the suite does first."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _redirect(log: Path) -> None:
    """Standard input from nowhere, output and errors into the log."""
    for path, flags, streams in (
        (os.devnull, os.O_RDONLY, (0,)),
        (log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, (1, 2)),
    ):
        handle = os.open(path, flags, 0o666)
        for stream in streams:
            os.dup2(handle, stream)
        os.close(handle)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(k, mode, buffering=1, closefd=False) for k, mode in enumerate("rww")
    )


def _server_by_fork(spawn: Callable[..., int]) -> Callable[..., int]:
    """multiprocessing's starter of processes, which forks for a fork server."""

    def start(path: bytes, args: Sequence[str], handles: Sequence[int]) -> int:
        if "forkserver" not in str(args[-1]):
            return spawn(path, args, handles)
        pid = os.fork()
        if pid:
            return pid
        try:
            kept = sorted({0, 1, 2, *handles})
            for low, high in zip(kept, [*kept[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
                os.closerange(low + 1, min(high, 65536))
            exec(str(args[-1]))
        finally:
            os._exit(1)

    return start
