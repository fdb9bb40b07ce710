"""Which process uploads a run, and whether it is still alive."""

import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Literal

from trustbench.store.files import locked
from trustbench.store.records import Store
from trustbench.tracking.server import TrackingError

HOST, BOOT, PID, STARTED = (f"trustbench.{k}" for k in ("host", "boot", "pid", "pid_started"))
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROCESS = re.compile(r"[0-9]{1,9}")
_NAMESPACE = Path("/proc/self/ns/pid")


def tags() -> dict[str, str]:
    """Tags that identify this process as a run's uploader."""
    pid = os.getpid()
    return {HOST: socket.gethostname(), BOOT: _boot(), PID: str(pid), STARTED: _started(pid)}


@contextmanager
def sole_uploader(store: Store, arm_id: str) -> Iterator[None]:
    """Waits while another process uploads the record of an arm from this store.

    Raises:
        TrackingError: the store cannot be written to.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(store.tracked_file(arm_id).with_suffix(".lock")))
        except OSError as error:
            raise TrackingError(f"the upload of {arm_id} cannot be noted: {error}.") from error
        yield


def process_state(tags: Mapping[str, str]) -> Literal["this", "alive", "gone", "elsewhere"]:
    """The state of the process that a run's tags identify.

    `elsewhere`: on another host or in another container, which is not visible from here.
    """
    if tags.get(HOST) != socket.gethostname() or not _PROCESS.fullmatch(tags.get(PID, "")):
        return "elsewhere"
    if tags.get(BOOT) != _boot():
        # The host was restarted; or it is another container, or machine, of the same name.
        same_kernel = tags.get(BOOT, "").split("/")[0] == _boot().split("/")[0]
        return "elsewhere" if same_kernel else "gone"
    pid = int(tags[PID])
    if not _lives(pid) or _started(pid) != tags.get(STARTED):
        return "gone"
    return "this" if pid == os.getpid() else "alive"


@lru_cache(maxsize=1)
def _boot() -> str:
    """The running kernel and the namespace of its process ids; empty if unknown."""
    try:
        return f"{_BOOT_ID.read_text().strip()}/{_NAMESPACE.readlink()}"
    except OSError:  # not Linux: ids count for the whole host
        return ""


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def _started(pid: int) -> str:
    """The start time of a process, in ticks since boot, as ids are reused; empty if unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # the second field, the name in brackets, may contain blanks and brackets
    return stat.rpartition(")")[2].split()[19]
