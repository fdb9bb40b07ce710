"""Standard streams that are open, print any text, and cost no result when they cannot.

Only the standard library is imported: the command line starts with this.
"""

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from trustbench.errors import TrustbenchError

PLAIN = str.maketrans(
    {
        "─": "-", "│": "|", "├": "+", "└": "+", "▲": "^", "▼": "v", "◀": "<", "▶": ">",
        "→": "->", "·": ".", "…": "...", "≈": "~", "±": "+-", "²": "2", "�": "?",
        "≤": "<=", "≥": ">=",
    }
)  # fmt: skip
"""Symbols of tables for a terminal that has only ASCII."""
ERRORS = "trustbench_plain"


def open_streams() -> None:
    """Opens the null device for every standard stream that is closed (`>&-`).

    A database or a pipe that is opened later would otherwise get its number, and everything that
    is printed would be written into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if not _is_open(number):
            handle = os.open(os.devnull, os.O_RDWR)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:  # Python does not open a stream that is closed
            setattr(sys, name, open(number, mode, closefd=False, encoding="utf-8"))  # noqa: SIM115


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Standard streams inside the block: all open, any text, and errors as `Shown` handles them."""
    open_streams()
    out, err = sys.stdout, sys.stderr
    for stream in (out, err):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)
    sys.stdout = cast("TextIO", Shown(out, "standard output"))
    sys.stderr = cast("TextIO", Shown(err, None))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


class Shown:
    """A stream that stops nothing when it cannot be written to, as when its reader has gone.

    With a `name`, what it prints is a result: the command that prints it fails, with a sentence.
    """

    def __init__(self, stream: TextIO, name: str | None) -> None:
        self._stream, self._name = stream, name

    def write(self, text: str) -> int:
        """Writes the text.

        Raises:
            BrokenPipeError: the reader of a result has gone.
            TrustbenchError: a result cannot be written for another reason.
        """
        with self._kept():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered; raises as `write` does."""
        with self._kept():
            self._stream.flush()

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # what is still buffered must not fail again, at exit neither
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if isinstance(error, BrokenPipeError) and self._name:
                raise
            if self._name:
                raise TrustbenchError(
                    f"{self._name} cannot be written ({error.strerror}); what the command has "
                    "stored is kept."
                ) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replaces what an encoding lacks: symbols by ASCII, other characters by their number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end].translate(PLAIN)
    return lacking.encode("ascii", "backslashreplace"), error.end


codecs.register_error(ERRORS, _plain)
