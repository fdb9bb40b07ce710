"""The encoding of a text: by its byte order mark, else UTF-8 if all of it is, else Latin-1."""

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from trustbench.errors import DataError

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
"""Control characters that no table has."""
WORD = re.compile(rb"[^\s,;|\"']+")
BLOCK = 2**20
UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
"""Bytes that Windows' Western European code page does not define."""


class Decoded(NamedTuple):
    """A text as UTF-8 without a mark, its encoding, and why."""

    text: bytes
    encoding: str
    why: str


def decode(path: Path, raw: bytes, declared: str | None) -> Decoded:
    """Decodes the bytes of a text file.

    Raises:
        DataError: it is binary, or not in the declared encoding.
    """
    if declared is not None:
        return Decoded(_as_declared(path, raw, declared), declared, "as declared")
    encoding, why, start = _sniffed(raw)
    text = raw[start:] if start else raw
    if encoding != "utf-8":
        text = _decoded(path, text, encoding).encode()
    control = BINARY.search(text, 0, BLOCK)
    at = control.start() if control else text.find(b"\0")
    if at >= 0:
        raise DataError(
            f"{path} is not a text file: line {_line(text, at)} holds the byte {text[at]:#04x}; "
            "give a CSV, TSV, Parquet or Arrow file."
        )
    return Decoded(text, encoding, why)


def _sniffed(raw: bytes) -> tuple[str, str, int]:
    """(encoding, why, length of the byte order mark)."""
    for mark, name in MARKS:
        if raw.startswith(mark):
            return name, "it begins with the byte order mark", len(mark)
    wide = _without_mark(raw[:4096])
    if wide is not None:
        return wide, "every other byte is zero, as in Western text in UTF-16", 0
    at = _not_utf8(raw)
    return ("utf-8", "all of it is valid UTF-8", 0) if at is None else _western(raw, at)


def _not_utf8(raw: bytes) -> int | None:
    """The position of the first byte that is not UTF-8; a part at a time, to save memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, max(len(raw), 1), BLOCK):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(raw[start : start + BLOCK], final=start + BLOCK >= len(raw))
        except UnicodeDecodeError as error:
            return start - pending + error.start
    return None


def _line(raw: bytes, at: int) -> int:
    return raw.count(b"\n", 0, at) + 1


def _without_mark(head: bytes) -> str | None:
    """UTF-16 of mostly Western text, which has a zero in every other byte."""
    half = len(head) // 2
    if half < 2:
        return None
    zeros = [head[k::2].count(0) / half for k in (0, 1)]
    if min(zeros) > 0.1 or max(zeros) < 0.6:
        return None
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _western(raw: bytes, at: int) -> tuple[str, str, int]:
    high = re.search(rb"[\x80-\x9f]", raw)
    encoding = "cp1252" if high and not UNDEFINED.search(raw) else "latin-1"
    around = WORD.finditer(raw, max(at - 20, 0), at + 20)
    shown = next(word[0] for word in around if word.end() > at).decode(encoding)
    why = f"line {_line(raw, at)} is not valid UTF-8 and is read as {shown!r}; check that word"
    return encoding, why, 0


def _as_declared(path: Path, raw: bytes, encoding: str) -> bytes:
    try:
        name = codecs.lookup(encoding).name
        "".encode(name)
    except (LookupError, ValueError, TypeError) as error:
        raise DataError(
            f"reading.encoding={encoding} is unknown; give for example utf-8, latin-1, cp1252 or "
            "utf-16, or null to have it found."
        ) from error
    for mark, marked in MARKS:
        if raw.startswith(mark) and marked.split("-")[:2] == name.split("-")[:2]:
            return _decoded(path, raw[len(mark) :], marked).encode()
    return _decoded(path, raw, encoding).encode()


def _decoded(path: Path, raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        raise DataError(
            f"{path} is not in the encoding {encoding}: the byte {raw[start]:#04x} on line "
            f"{_line(raw, start)} has no meaning in it; give another "
            "reading.encoding, or null to have it found."
        ) from error
