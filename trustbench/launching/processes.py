"""A process with all its descendants: how much memory they hold, and how to end them."""

import contextlib
import os
import signal
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_gb(leader: int) -> float:
    """The resident memory of a process and its descendants, in GB; needs /proc.

    Shared pages count for each of them: libraries, and the imports of the fork server.
    """
    return sum(_pages(pid) for pid in family(leader)) * PAGE / 1e9


def kill_tree(leader: int) -> None:
    """Kills a process that leads a group, its group, and descendants that left the group."""
    strays = family(leader)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
    _kill(strays)


def kill_descendants(leader: int) -> None:
    """Kills all descendants of a process, but not the process itself."""
    _kill(family(leader) - {leader})


def _kill(processes: set[int]) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def family(leader: int) -> set[int]:
    """The ids of a process, of the members of its session and of their descendants.

    Only the leader without /proc.
    """
    found = {leader}
    known = {int(p.name): _stat(p) for p in Path("/proc").glob("[0-9]*")}
    grown = True
    while grown:
        new = {
            pid
            for pid, stat in known.items()
            if stat is not None and pid not in found and (stat[0] in found or stat[1] == leader)
        }
        found |= new
        grown = bool(new)
    return found


def stopped(pid: int) -> bool:
    """Whether a signal has stopped a process (SIGSTOP), so that it waits for SIGCONT."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] == "T"


def memory_kills() -> int | None:
    """How many processes the system has killed so far for lack of memory; None if unknown."""
    try:
        lines = Path("/proc/vmstat").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(n) for name, n in map(str.split, lines) if name == "oom_kill"), None)


def _stat(process: Path) -> tuple[int, int] | None:
    """(parent, session) of a process; None if it has just ended."""
    try:
        text = (process / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may contain anything
    return int(fields[1]), int(fields[3])


def _pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except (OSError, IndexError):
        return 0  # it has just ended
