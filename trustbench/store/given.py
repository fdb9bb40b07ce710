"""Tables that a run was given in memory: files named after the digest of their content."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from trustbench import errors
from trustbench.errors import DataError
from trustbench.store.files import put_away, write_own
from trustbench.store.layout import GIVEN, Layout
from trustbench.store.reading import ARRAYS, Damaged, read_bytes

_NAME = re.compile(r"[0-9a-f]{16}\.parquet")


def keep(root: Path, content: bytes, warn: Callable[[str], object] = errors.warn) -> Path:
    """Writes a table below the outputs folder, unless it is there; returns its file.

    A file of that name with other content is kept under another name.

    Raises:
        StorageError: it cannot be written.
    """
    path = Layout(root).given_table(_digest(content))
    why = _damage(path)
    if why is not None:
        warn(f"{path} is damaged ({why}); it is kept as {put_away(path).name} and written again.")
    if not path.exists():
        write_own(path, content)
    return path


def refuse_changed(path: Path) -> None:
    """Raises DataError for a file written by `keep` that has changed since; takes any path."""
    why = _damage(path) if path.parent.name == GIVEN and _NAME.fullmatch(path.name) else None
    if why is not None:
        raise DataError(
            f"{path} is not the table that was given ({why}); run again with the DataFrame, which "
            "writes it anew."
        )


def _damage(path: Path) -> str | None:
    """Why the file cannot be used; None if it is whole, or absent."""
    try:
        content = read_bytes(path, ARRAYS)
    except Damaged as damage:
        return str(damage)
    if content is None or _digest(content) == path.stem:
        return None
    return "its content does not match its name"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
