"""Reads CIFAR's files, which are pickles: verifies their checksums and runs no code from them.

Opening a pickle runs what it names. This module reads exactly the bytes that it verified, and they
may name only numpy's arrays.
"""

import hashlib
import io
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trustbench.contracts import Array

# numpy 1 and 2 name the same two functions differently; those listed only make arrays.
ALLOWED = {
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")
    for module, name in (("multiarray", "_reconstruct"), ("numeric", "_frombuffer"))
} | {("numpy", "ndarray"), ("numpy", "dtype")}


class Batches(NamedTuple):
    """Images uint8 [n, h, w, 3] and labels [n], under the names of torchvision's own class."""

    data: Array
    targets: Sequence[int]
    classes: Sequence[str]


def read_batches(official: Any, root: Path, train: bool) -> Batches:
    """Reads the training or test part of `official`, torchvision's class, from files below `root`.

    Raises:
        RuntimeError: a file has an unpublished checksum, or names foreign code.
    """
    folder = root / official.base_folder
    part, other = official.train_list, official.test_list
    if not train:
        part, other = other, part
    entries = [plain(data, name) for name, data in _verified(folder, part)]
    for _ in _verified(folder, other):
        pass  # detects a broken test set before training
    meta = official.meta
    (names,) = (plain(d, n) for n, d in _verified(folder, [(meta["filename"], meta["md5"])]))
    images = np.concatenate([np.asarray(e["data"], dtype=np.uint8) for e in entries])
    return Batches(
        data=np.moveaxis(images.reshape(-1, 3, 32, 32), 1, -1),
        targets=[int(y) for e in entries for y in e["labels"]],
        classes=[str(n) for n in names[meta["key"]]],
    )


def _verified(folder: Path, files: Sequence[Sequence[str]]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of files, each verified against its published checksum."""
    for name, checksum in files:
        data = (folder / name).read_bytes()
        if hashlib.md5(data, usedforsecurity=False).hexdigest() != checksum:
            raise RuntimeError(f"{name} is not the published file: its checksum differs")
        yield name, data


def plain(data: bytes, name: str) -> Any:
    """Reads a pickle of arrays, lists, dicts, numbers and strings."""
    try:
        return _Plain(io.BytesIO(data), encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise RuntimeError(f"{name}: {error}") from error


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not allowed")
        return super().find_class(module, name)
