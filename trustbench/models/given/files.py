"""The file of a given model: that it exists, and its digest."""

import hashlib
from pathlib import Path

from trustbench.errors import UserError


def existing(path: Path | str, what: str) -> Path:
    """Returns the path of a file; a missing one, or a folder, is refused in one sentence."""
    found = Path(path)
    if found.is_file():
        return found
    why = "is a folder" if found.is_dir() else "does not exist"
    raise UserError(f"the {what} {found} {why}; give the path of its file.")


def digest(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
