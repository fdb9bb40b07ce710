"""Where the text or picture that a command makes goes: standard output, or a file."""

import sys
from pathlib import Path

from trustbench.errors import StorageError, UserError
from trustbench.store.files import write_atomically


def put(content: str | bytes, output: str | None, format: str = "text") -> None:
    """Prints what was made in a format, or writes it to the file `output`.

    Raises UserError when the file cannot be written, and when a picture would be printed.
    """
    data = content if isinstance(content, bytes) else content.rstrip("\n").encode() + b"\n"
    if output is not None:
        write_file(data, output)
    elif isinstance(content, str):
        sys.stdout.write(data.decode())
    elif sys.stdout.isatty():
        raise UserError(f"--format {format} is an image; give --output FILE.{format}.")
    else:
        sys.stdout.buffer.write(data)


def write_file(data: bytes, output: str) -> Path:
    """Writes a file whole or not at all; its path. UserError when it cannot be written."""
    path = Path(output).expanduser().absolute()
    try:
        write_atomically(path, data)
    except StorageError as error:
        why = error.__cause__  # its own sentence speaks of stores
        raise UserError(
            f"--output {output} cannot be written ({why}); give another file."
        ) from error
    return path
