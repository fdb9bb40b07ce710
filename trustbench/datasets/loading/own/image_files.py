"""A user's own image files: a folder for each class, or a table of paths and labels."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from trustbench.contracts.shortening import listed
from trustbench.datasets.loading.frames import Reading, read_frame
from trustbench.datasets.loading.own.splitting import WORDS
from trustbench.errors import DataError, did_you_mean

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
)
PART = "part"


class Listed(NamedTuple):
    """The images of a data set: their files, and a table of what is known of each."""

    files: tuple[Path, ...]
    labels: tuple[str, ...]
    table: pd.DataFrame


def refuse(what: str) -> DataError:
    """The error of images: what is wrong and what to do, one sentence."""
    return DataError(f"dataset images: {what}.")


@contextmanager
def as_images() -> Iterator[None]:
    """Lets errors about the table of images name the data set that the user chose."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace("dataset table:", "dataset images:", 1)) from error


def list_images(path: Path, image: str, label: str, sensitive: Sequence[str]) -> Listed:
    """Lists the images of a folder or of a table.

    A folder holds a folder for each class, or the folders train and test with those in them. A
    table has the column `image`, with paths relative to the table, and the column `label`.

    Raises:
        DataError: there are no images, or the table lacks a column or names files that are absent.
    """
    if not path.is_dir():
        return _of_table(path, image, label, sensitive)
    if sensitive:
        raise refuse(
            f"a folder names no {listed(sensitive)}; give dataset.path a CSV with the columns "
            f"{image}, {label} and {', '.join(sensitive)}"
        )
    return _of_folder(path)


def _of_folder(root: Path) -> Listed:
    folders = _folders(root)
    parts = [f for f in folders if f.name.lower() in WORDS]
    if parts and len(parts) == len(folders):
        classes = [(part.name, folder) for part in parts for folder in _folders(part)]
    else:
        classes = [("", folder) for folder in folders]
    rows = [
        (file, folder.name, part)
        for part, folder in classes
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    ]
    if not rows:
        raise refuse(
            f"{root} holds no images in folders of classes; give a folder such as cats/1.png, "
            f"dogs/1.png (endings: {', '.join(sorted(SUFFIXES))}), or a CSV of paths and labels"
        )
    table = pd.DataFrame({PART: [part for _, _, part in rows]})
    files, labels = [file for file, _, _ in rows], [label for _, label, _ in rows]
    return Listed(tuple(files), tuple(labels), table if parts else table.drop(columns=PART))


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _of_table(path: Path, image: str, label: str, sensitive: Sequence[str]) -> Listed:
    columns = read_frame(path).table.columns
    for name in (image, label, *sensitive):
        if name not in columns:
            near = did_you_mean(name, map(str, columns)).rstrip(".")
            raise refuse(f"{path} has no column {name!r}; {near}")
    words = dict.fromkeys((image, label, *sensitive), "text")
    table = read_frame(path, Reading(types=words)).table  # type: ignore[arg-type]
    for name in (image, label):
        if table[name].isna().any():
            row = int(table[name].isna().to_numpy().argmax()) + 1
            raise refuse(f"row {row:,} of {path} has no {name}; complete it, or take the row out")
    files = tuple(path.parent / str(p) for p in table[image])
    absent = [str(f) for f in files if not f.is_file()]
    if absent:
        raise refuse(
            f"{path} names {len(absent):,} images that are not there ({listed(absent)}); paths are "
            f"relative to {path.parent}"
        )
    return Listed(files, tuple(map(str, table[label])), table)
