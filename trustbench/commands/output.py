"""The destination of the text or picture that a command makes: standard output, or a file."""

import sys

from trustbench.api.reports import write_file
from trustbench.errors import UserError


def put(content: str | bytes, output: str | None, format: str = "text") -> None:
    """Prints a rendering, or writes it to the file `output`, in UTF-8 under any locale.

    Only on a terminal, and for people (`format` terminal), has the text the locale's encoding.
    Raises UserError if the file cannot be written, or if a picture would be printed.
    """
    data = content if isinstance(content, bytes) else content.rstrip("\n").encode() + b"\n"
    if output is not None:
        write_file(data, output)
    elif isinstance(content, str) and (format == "terminal" or sys.stdout.isatty()):
        sys.stdout.write(data.decode())
    elif sys.stdout.isatty():
        raise UserError(f"--format {format} is an image; give --output FILE.{format}.")
    else:
        sys.stdout.buffer.write(data)
