"""Files that survive a crash: atomic writes, locks released on death, leftovers."""

import errno
import fcntl
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from trustbench.errors import StorageError, UserError, warn

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")


def write_atomically(path: Path, data: bytes, mode: int | None = None) -> None:
    """Writes `data` atomically: a reader sees the old file or the new one, never a partial one.

    Both the bytes and the new name are on disk when it returns. The umask determines the file's
    mode unless it is given.

    Raises:
        StorageError: it cannot be written; the previous file is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _make_folder(path.parent)
        with temporary.open("xb") as f:
            if mode is not None:
                os.fchmod(f.fileno(), mode)
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):  # report the first error
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(path, error) from error
        raise


def write_own(path: Path, data: bytes) -> None:
    """Writes a file of the store atomically; a folder or a pipe in its place is set aside.

    A user's path is never cleared: a folder there is an error.
    """
    try:
        make_way(path)
    except OSError as error:
        raise unwritable(path, error) from error
    write_atomically(path, data)


def append_line(path: Path, text: str) -> None:
    """Appends one line, prefixed by time, host and process.

    Raises:
        StorageError: it cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = f"{now} {socket.gethostname()} {os.getpid()} {text}\n"
    try:
        make_way(path)
        with path.open("ab", buffering=0) as f:  # one write: lines of two processes never mix
            f.write(line.encode())
    except OSError as error:
        raise unwritable(path, error) from error


def inside(folder: Path, name: str) -> Path:
    """Joins `name` to `folder`; raises UserError for a name that leads out of it."""
    if not name.isprintable() or Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"{name!r} is not the name of anything in {folder}; give one without `..`.")
    return folder / name


def set_aside(path: Path, what: str) -> Path:
    """Renames NAME.json to NAME.<what>.json, or NAME.<what>-2.json, ...; returns the new path.

    A path without anything stays without.
    """
    names = (f"{path.stem}.{what}{k}{path.suffix}" for k in ["", *(f"-{n}" for n in range(2, 999))])
    kept = next(p for p in map(path.with_name, names) if not os.path.lexists(p))
    with suppress(FileNotFoundError):
        path.rename(kept)
    return kept


def make_way(path: Path) -> None:
    """Sets aside a folder, a pipe or a broken link in the place of a file.

    Opening a pipe would wait for its other end.
    """
    try:
        in_the_way = not stat.S_ISREG(path.stat().st_mode)
    except OSError:  # nothing is there, or a link to nothing; another process may make it meanwhile
        in_the_way = os.path.islink(path)  # noqa: PTH114 - Path.is_symlink raises without permission
    if in_the_way:
        with suppress(FileNotFoundError):  # another process has put it away
            warn(f"{path} is not a file; it is kept as {put_away(path).name}.")


def put_away(path: Path) -> Path:
    """Renames NAME to NAME.<random>.damaged, which no pattern of the store matches."""
    return path.rename(path.with_name(f"{path.name}.{secrets.token_hex(4)}.damaged"))


@contextmanager
def exclusive(folder: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Holds the folder's lock; calls `waiting` once if another process has it.

    Removes what dead holders left half-written.

    Raises:
        StorageError: the folder or its lock cannot be created.
    """
    with locked(folder / "lock", waiting):
        remove_leftovers(folder)
        yield


@contextmanager
def locked(path: Path, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Holds the lock that a file represents; calls `waiting` once if another process has it.

    The kernel releases the lock when its holder dies, so a crash never blocks a later run.

    Raises:
        StorageError: the file cannot be created.
    """
    with _lock_file(path) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remove_leftovers(folder: Path, older_than_s: float = 0.0) -> None:
    """Removes the temporary files of writers that died in `write_atomically`.

    Without the folder's lock, `older_than_s` must exceed the time of any write.
    """
    with os.scandir(folder) as entries:
        found = [Path(e.path) for e in entries if _TEMPORARY.fullmatch(e.name)]
    for path in found:
        with suppress(FileNotFoundError):  # its writer, or another process, was faster
            # a clock that was set back makes files that are younger than now
            if older_than_s <= 0 or time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()


def _lock_file(path: Path) -> BinaryIO:
    try:
        _make_folder(path.parent)
        make_way(path)
        return path.open("ab")
    except OSError as error:
        raise unwritable(path, error) from error


def _make_folder(folder: Path) -> None:
    """Creates a folder and its parents, and syncs their names to disk."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without this
            raise
    finally:
        os.close(handle)


def unwritable(path: Path, error: OSError) -> StorageError:
    """The sentence for a file that cannot be written."""
    if error.errno in _FULL and not _inodes(path):
        return StorageError(
            f"the disk can hold no more files (it has no inodes left): {path} could not be "
            "written; what is stored is intact. Delete files, and run the same command again; it "
            "continues from there."
        )
    if error.errno in _FULL:
        return StorageError(
            f"the disk is full: {path} could not be written; what is stored is intact. Free some "
            f"space and run the same command again; it continues from there."
        )
    return StorageError(
        f"{path} cannot be written ({error.strerror or error}); make its folder writable, or give "
        "another output_dir."
    )


def _inodes(path: Path) -> bool:
    """Whether the disk of a path has inodes left; true if it does not count them."""
    folder = next(p for p in path.absolute().parents if p.is_dir())
    state = os.statvfs(folder)
    return not state.f_files or state.f_favail > 0
