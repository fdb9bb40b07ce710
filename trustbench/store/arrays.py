"""The arrays of an arm in one npz file, whose zip comment names the arm and has a checksum."""

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trustbench.contracts.unpacking import archive_too_large
from trustbench.store.reading import ARRAYS, Damaged, opened, parse

Arrays = Mapping[str, NDArray[Any]]
_MARK = b'{"arm": '
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# arrays of Python objects, an archive that is cut or packed in another way, a header that lies
_UNPACKABLE = (
    ValueError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    MemoryError,
)
_LONGEST = 4096
"""Maximum length of the comment, in bytes."""


def pack(arm: str, arrays: Arrays) -> bytes:
    """The content of an arm's file of arrays."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(sorted(arrays.items())))  # type: ignore[arg-type]
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    size = len(buffer.getvalue())
    with zipfile.ZipFile(buffer, "a") as file:
        file.comment = json.dumps({"arm": arm, "bytes": size, "sha256": digest}).encode()
    return buffer.getvalue()


def read_raw(path: Path, arm: str) -> bytes | None:
    """The bytes of an arm's file of arrays, verified; None if there is no file.

    Raises:
        Damaged: it cannot be read, has been changed, or is of another arm.
    """
    with opened(path, ARRAYS) as file:
        if file is None:
            return None
        try:
            size = file.seek(0, io.SEEK_END)
            file.seek(-min(size, _LONGEST), io.SEEK_END)
            comment = _comment(file.read(_LONGEST))
            if size != comment["bytes"] + len(comment["text"]):
                raise Damaged("it has another length than it says")
            file.seek(0)
            data = file.read(size)
        except OSError as error:
            raise Damaged(f"it cannot be read ({error.strerror or error})") from error
    # the two bytes before a comment are its length: none in what the checksum is over
    end = comment["bytes"] - 2
    length, bare = data[end : end + 2], data[:end] + b"\0\0"
    same = hashlib.sha256(bare).hexdigest() == comment["sha256"]
    if not same or length != len(comment["text"]).to_bytes(2, "little"):
        raise Damaged("its content does not match its checksum")
    if comment["arm"] != arm:
        raise Damaged(f"it is of arm {comment['arm']}")
    return data


def read_arrays(path: Path, arm: str) -> dict[str, NDArray[Any]]:
    """The arrays of an arm; empty if there is no file.

    Raises:
        Damaged: as in `read_raw`.
    """
    data = read_raw(path, arm)
    return {} if data is None else unpack(data)


def unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays in the bytes of a file of arrays.

    Raises:
        Damaged: they are not such a file, or unpack to more than they may.
    """
    try:
        large = archive_too_large(io.BytesIO(data), len(data))
        if large is not None:
            raise Damaged(large)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_shapes(archive)
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return dict(found)
    except _UNPACKABLE as error:
        raise Damaged("it is not a valid file of arrays") from error


def _check_shapes(archive: zipfile.ZipFile) -> None:
    """Raises Damaged for an array that is not as large as its own header says.

    NumPy makes room for what the header says before it reads anything.
    """
    for entry in archive.infolist():
        with archive.open(entry) as file:
            version = np.lib.format.read_magic(file)
            read = _HEADERS.get(version)
            if read is None:
                raise Damaged("it is not a valid file of arrays")
            shape, _, kind = read(file)
            if math.prod(shape) * kind.itemsize != entry.file_size - file.tell():
                raise Damaged(f"the size of its array {entry.filename} is not that of its header")


def _comment(tail: bytes) -> dict[str, Any]:
    """The comment at the end of a file, with its `text`."""
    start = tail.rfind(_MARK)
    if start < 0:
        raise Damaged("it has no checksum")
    text = tail[start:]
    found = parse(text)
    kinds = {"arm": str, "bytes": int, "sha256": str}
    if not isinstance(found, dict) or any(type(found.get(k)) is not t for k, t in kinds.items()):
        raise Damaged("its checksum cannot be read")
    return {**found, "text": text}
