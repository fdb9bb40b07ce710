"""The files of a dataset: their location, their checksums and their sources."""

import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar, NamedTuple

from trustbench.contracts import Dataset
from trustbench.datasets.loading.columns import Column
from trustbench.datasets.loading.sources import Source
from trustbench.errors import DataError

BLOCK = 2**20


@dataclass(frozen=True)
class RemoteFile:
    """One file of a dataset.

    `path` is relative to the dataset's folder. `url` is its official address, or None if these
    bytes have none. `sha256` and `size` are those of the file itself; `member` is its name inside
    the zip archive at `url`.
    """

    path: str
    url: str | None
    sha256: str | None
    size: int | None = None
    member: str | None = None

    def __post_init__(self) -> None:
        if not safe(self.path):
            raise ValueError(f"{self.path!r} leaves the dataset's folder; give a relative path")


class FileState(NamedTuple):
    """A file and its state: `present`, `missing`, `verified`, ..."""

    path: Path
    state: str


@dataclass(frozen=True)
class FileDataset(Dataset):
    """A dataset of declared files in `data_dir/folder`, or in `data_dir` itself.

    `columns` are those that its loader reads, with their allowed values.
    """

    folder: ClassVar[str]
    files: ClassVar[tuple[RemoteFile, ...]]
    columns: ClassVar[tuple[Column, ...]]

    def source(self, data_dir: Path, name: str) -> Source:
        """Opens the file `name` below `data_dir` for reading; raises DataError if it is absent."""
        fetched = next(f for f in self.files if f.path == name).url is not None
        other = f"delete it and run `trustbench data fetch {self.folder}`"
        return Source(
            self.folder,
            self.locate(data_dir, name),
            f"correct the file, or {other if fetched else 'put the original there'}",
        )

    def locate(self, data_dir: Path, name: str) -> Path:
        """Finds the file `name` below `data_dir`.

        Raises:
            DataError: it is in neither place; the sentence names both.
        """
        places = self._places(data_dir, name)
        for path in places:
            if path.is_file():
                return path
        raise DataError(
            f"dataset {self.folder}: there is no file {places[0]} (nor {places[1]}); run "
            f"`trustbench data fetch {self.folder}`, or give data_dir=FOLDER, the folder that "
            f"holds {self.folder}/{name}."
        )

    def states(self, data_dir: Path, verify: bool = False) -> list[FileState]:
        """The state of every file: `present` or `missing`; with `verify`, by its checksum."""
        found = []
        for file in self.files:
            places = self._places(data_dir, file.path)
            path = next((p for p in places if p.is_file()), None)
            if path is None:
                found.append(FileState(places[0], "missing"))
            else:
                found.append(FileState(path, verdict(path, file) if verify else "present"))
        return found

    def _places(self, data_dir: Path, name: str) -> tuple[Path, Path]:
        return data_dir / self.folder / name, data_dir / name


def verdict(path: Path, file: RemoteFile) -> str:
    """`verified`, or a sentence on how the file at `path` differs from the published one."""
    if file.size is not None and path.stat().st_size != file.size:
        return f"differs: {path.stat().st_size} bytes instead of {file.size}"
    if file.sha256 is None:
        return "size as published (no checksum is published)"
    return "verified" if digest(path) == file.sha256 else "differs: another sha256"


def digest(path: Path) -> str:
    """The sha256 of a file, 64 hex digits."""
    h = hashlib.sha256()
    with path.open("rb") as f:
        while block := f.read(BLOCK):
            h.update(block)
    return h.hexdigest()


def safe(name: str) -> bool:
    r"""Whether a name stays inside the folder to which it is joined.

    >>> [safe(n) for n in ("adult.data", "raw/a", "../a", "/etc/passwd", "a/../../b", "..\\a")]
    [True, True, False, False, False, False]
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    drive = ":" in (parts[0] if parts else "")
    return bool(parts) and parts[0] != "/" and ".." not in parts and not drive
