"""What a file is, by its first bytes. A name says little: many a .csv is something else."""

from pathlib import Path
from typing import Literal

from trustbench.errors import DataError, did_you_mean

Format = Literal["text", "gzip", "parquet", "arrow file", "arrow stream", "feather 1"]

READ: tuple[tuple[bytes, Format], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow file"),
    (b"\xff\xff\xff\xff", "arrow stream"),
    (b"FEA1", "feather 1"),
)
UNPACK = "unpack it, and give the table inside"
EXPORT = "export it as CSV or Parquet, and give that file"
REFUSED: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", "save the sheet as CSV, and give that file"),
    (b"BZh", "compressed by bzip2", "decompress it with `bunzip2`, or compress it with `gzip`"),
    (b"\xfd7zXZ", "compressed by xz", "decompress it with `unxz`, or compress it with `gzip`"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "decompress it with `unzstd`, or use `gzip`"),
    (b"7z\xbc\xaf", "a 7-Zip archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"SQLite format 3", "an SQLite database", EXPORT),
    (b"\x89HDF", "an HDF5 file", EXPORT),
    (b"\x93NUMPY", "a NumPy array", EXPORT),
    (b"ORC", "an ORC file", EXPORT),
    (b"Obj\x01", "an Avro file", EXPORT),
    (b"$FL2", "an SPSS file", EXPORT),
    (b"<stata_dta>", "a Stata file", EXPORT),
    (b"%PDF", "a PDF document", "copy the table into a CSV file, and give that"),
    (b"\x80\x04\x95", "a Python pickle, which is never opened", EXPORT),
    (b"\x80\x05\x95", "a Python pickle, which is never opened", EXPORT),
    (b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc2\xea\x81\x60", "a SAS file", EXPORT),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS instead of the file itself",
        "run `git lfs pull` in its repository",
    ),
)
WEB = (b"<!doctype html", b"<html", b"<?xml")


def format_of(path: Path) -> Format:
    """The format of the file at `path`.

    Raises:
        DataError: the file does not exist, is empty, or has a format that is not read; the sentence
            says how to turn it into one that is.
    """
    head = beginning(path)
    for mark, name in READ:
        if head.startswith(mark):
            return name
    for mark, what, remedy in REFUSED:
        if head.startswith(mark):
            raise DataError(f"{path} is {what}; {remedy}.")
    if head.startswith(b"PK\x03\x04"):
        raise _zipped(path)
    refuse_markup(path, head)
    return "text"


def refuse_markup(path: Path, head: bytes) -> None:
    """Raises DataError if a text begins as a web page or as JSON."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(WEB):
        raise DataError(
            f"{path} is a web page, not a table; download the file itself, as CSV or Parquet."
        )
    if start.startswith((b"{", b"[{", b"[[")):
        raise DataError(
            f"{path} is JSON, not a table; convert it, for example with "
            f"`pandas.read_json(...).to_parquet(...)`, and give that file."
        )


def beginning(path: Path) -> bytes:
    """The first bytes of the file at `path`; raises DataError if there are none to read."""
    if path.is_dir():
        raise DataError(f"{path} is a folder; give one file (CSV, TSV, Parquet or Arrow).")
    head = opened(path, 64)
    if not head.strip() and not opened(path).strip():
        raise DataError(f"{path} is empty; give a file with a header and rows.")
    return head


def opened(path: Path, size: int = -1) -> bytes:
    """The first `size` bytes of a file, or all; raises DataError if it cannot be opened."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except FileNotFoundError as error:
        near = [p.name for p in path.parent.glob("*") if p.is_file()]
        hint = did_you_mean(path.name, near[:50]) if near else "give the path of a table."
        raise DataError(f"there is no file {path}; {hint}") from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be opened ({error.strerror}); give a file that you may read."
        ) from error


def _zipped(path: Path) -> DataError:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        names = []
    if any(n.startswith("xl/") for n in names):
        return DataError(
            f"{path} is an Excel workbook; save the sheet as CSV (File, Save As, CSV UTF-8), and "
            "give that file."
        )
    if "content.xml" in names:
        return DataError(f"{path} is an OpenDocument sheet; save it as CSV, and give that file.")
    return DataError(f"{path} is a zip archive; {UNPACK}.")
