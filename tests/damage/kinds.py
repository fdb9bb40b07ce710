"""What may happen to a file of a store."""

import os
import random
import re
import shutil
import socket
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

Damage = Callable[[random.Random, Path, Path], None]
"""Damages a file; the second is its twin: the same file of another arm, fit or pilot."""


def truncate(rng: random.Random, path: Path, _: Path) -> None:
    """ends at a random byte"""
    os.truncate(path, rng.randrange(path.stat().st_size))


def zero(rng: random.Random, path: Path, _: Path) -> None:
    """zeros in the place of some bytes, or of all"""
    data = bytearray(path.read_bytes())
    start, end = sorted(rng.sample(range(len(data) + 1), 2)) if rng.random() < 0.7 else (0, None)
    data[start:end] = bytes(len(data[start:end]))
    path.write_bytes(data)


def flip(rng: random.Random, path: Path, _: Path) -> None:
    """one bit flipped"""
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def digit(rng: random.Random, path: Path, twin: Path) -> None:
    """one digit of a number is another one"""
    data = path.read_bytes()
    found = [m.start() for m in re.finditer(rb"\d", data)]
    if not found or b"\0" in data:
        return flip(rng, path, twin)
    at = rng.choice(found)
    other = rng.choice([d for d in b"0123456789" if d != data[at]])
    path.write_bytes(data[:at] + bytes([other]) + data[at + 1 :])
    return None


def swap(_: random.Random, path: Path, twin: Path) -> None:
    """swapped with that of another arm"""
    aside = path.with_name("swapped")
    path.rename(aside)
    twin.rename(path)
    aside.rename(twin)


def duplicate(_: random.Random, path: Path, twin: Path) -> None:
    """a copy of that of another arm"""
    shutil.copy(twin, path)


def duplicate_folder(_: random.Random, path: Path, twin: Path) -> None:
    """its whole folder a copy of another arm's"""
    if path.parent != twin.parent:
        shutil.rmtree(path.parent)
        shutil.copytree(twin.parent, path.parent)
    else:
        shutil.copy(twin, path)


def mode(_: random.Random, path: Path, __: Path) -> None:
    """may not be opened (mode 000)"""
    path.chmod(0)


def kind(rng: random.Random, path: Path, _: Path) -> None:
    """a folder, a pipe, a socket, a broken link or a terabyte in its place"""
    path.unlink()
    rng.choice([Path.mkdir, os.mkfifo, _socket, _dangling, _loop, _huge])(path)


def nonsense(rng: random.Random, path: Path, _: Path) -> None:
    """JSON that is nested 200,000 deep, has 6,000 digits or NaN, or is something else"""
    path.write_bytes(
        rng.choice([b"[" * 200_000, b'{"a": ' + b"9" * 6000 + b"}", b'{"a": NaN}', b"null", b"{}"])
    )


def gone(_: random.Random, path: Path, __: Path) -> None:
    """deleted"""
    path.unlink()


KINDS: dict[str, Damage] = {
    f.__name__: f
    for f in (
        truncate, zero, flip, digit, swap, duplicate, duplicate_folder, mode, kind, nonsense, gone,
    )
}  # fmt: skip


@contextmanager
def forbidden(path: Path):
    """Refuses to open a file of mode 000 to root as well, which ignores modes."""
    real = os.open
    marked = path.stat() if path.is_file() and not path.stat().st_mode & 0o777 else None

    def refuse(name, flags, *args, **kwargs):
        handle = real(name, flags, *args, **kwargs)
        found = os.fstat(handle)
        if marked and (found.st_dev, found.st_ino) == (marked.st_dev, marked.st_ino):
            os.close(handle)
            raise PermissionError(13, "Permission denied", str(name))
        return handle

    os.open = refuse
    try:
        yield
    finally:
        os.open = real


def _socket(path: Path) -> None:
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{path.name}")  # longer paths are refused
    os.close(here)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)
