"""The one way to read a file of the store: what cannot be read is damage, of whatever kind.

A reader never waits (for the writer of a pipe), never follows the size of a file into all memory,
and trusts no content without its checksum. A sealed file is a JSON object with a checksum of the
rest of its content under `sha256`.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

TEXT = 2**28
"""Maximum size of a JSON file, in bytes."""
ARRAYS = 2**34
"""Maximum size of a file of arrays or tensors, in bytes."""
SEAL = "sha256"
"""The key of a sealed file's checksum."""

_ABSENT = (errno.ENOENT, errno.ENOTDIR)
# the machine's trouble, which says nothing about the file
_ELSEWHERE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe"),
    (stat.S_ISSOCK, "it is a socket"),
)


class Damaged(Exception):
    """A file cannot be used; the message is the reason, as half a sentence about it."""


def read_bytes(path: Path, largest: int = TEXT) -> bytes | None:
    """The content of a file; None if there is no file.

    Raises:
        Damaged: it cannot be read.
    """
    with opened(path, largest) as file:
        if file is None:
            return None
        try:
            return file.read(largest + 1)
        except OSError as error:
            raise Damaged(f"it cannot be read ({error.strerror or error})") from error


@contextmanager
def opened(path: Path, largest: int) -> Iterator[BinaryIO | None]:
    """Opens a regular file without waiting for anything; None if there is no file.

    Raises:
        Damaged: it is of another kind, too large, or cannot be opened.
    """
    try:
        # without O_NONBLOCK a pipe would wait for its writer
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _ELSEWHERE:
            raise
        if error.errno in _ABSENT and not os.path.lexists(path):
            yield None
            return
        raise Damaged(_reason(path, error)) from error
    try:
        _check(os.fstat(handle), largest)
    except Damaged:
        os.close(handle)
        raise
    with os.fdopen(handle, "rb") as file:
        yield file


def parse(data: bytes | str) -> Any:
    """JSON as values.

    Raises:
        Damaged: it is not JSON, is nested too deeply, or has numbers that JSON does not have.

    >>> parse(b'{"a": NaN}')
    Traceback (most recent call last):
        ...
    trustbench.store.reading.Damaged: it has the number NaN
    """
    try:
        return json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # ValueError: an integer of 5,000 digits, too
        raise Damaged("it is not complete JSON") from error


def read_sealed(path: Path) -> dict[str, Any] | None:
    """The content of a sealed file, without its seal; None if there is no file.

    Raises:
        Damaged: it cannot be read, or has been changed since it was written.
    """
    data = read_bytes(path)
    return None if data is None else unsealed(parse(data))


def unsealed(content: Any) -> dict[str, Any]:
    """The sealed content without its seal.

    Raises:
        Damaged: the seal is not that of the content.
    """
    if not isinstance(content, dict):
        raise Damaged("it is not a JSON object")
    rest = {k: v for k, v in content.items() if k != SEAL}
    if SEAL not in content:
        raise Damaged("it has no checksum")
    if content[SEAL] != checksum(rest):
        raise Damaged("its content does not match its checksum")
    return rest


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with its checksum."""
    rest = {k: v for k, v in content.items() if k != SEAL}
    return {**rest, SEAL: checksum(rest)}


def checksum(content: Mapping[str, Any]) -> str:
    """The checksum of JSON content, the same for any order of keys and any layout.

    Raises:
        Damaged: it is nested too deeply, or holds a number that is not finite.

    >>> checksum({"a": 1, "b": 2}) == checksum({"b": 2, "a": 1})
    True
    """
    try:
        text = json.dumps(content, sort_keys=True, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise Damaged("it holds what no record holds") from error
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _refuse(constant: str) -> NoReturn:
    raise Damaged(f"it has the number {constant}")


def _check(found: os.stat_result, largest: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Damaged(_kind(found.st_mode))
    if found.st_size > largest:
        raise Damaged(f"it is larger than anything written here ({found.st_size:,} bytes)")


def _kind(mode: int) -> str:
    return next((text for test, text in _KINDS if test(mode)), "it is not a regular file")


def _reason(path: Path, error: OSError) -> str:
    if error.errno in _ABSENT:
        return "it is a link to a missing file"
    if error.errno == errno.ENXIO:
        return _kind(os.lstat(path).st_mode)
    return f"it cannot be opened ({error.strerror or error})"
