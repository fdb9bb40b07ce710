"""Image data through torchvision's own dataset classes: where it lies, how it is downloaded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.error import URLError

import numpy as np
import pandas as pd
from pydantic import Field

from trustbench.contracts import Array, DataCard, Dataset, Problem, SplitName
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.columns import Categorical, known
from trustbench.datasets.loading.files import FileState
from trustbench.datasets.loading.pixels import class_problem
from trustbench.datasets.loading.sources import Source
from trustbench.datasets.loading.splits import draw, stratified_order, subsample
from trustbench.errors import DataError

# Raised by torchvision for files that are truncated, of another kind or with another checksum.
BROKEN = (
    RuntimeError,
    ValueError,
    TypeError,
    OSError,
    EOFError,
    AssertionError,
    LookupError,
)
TEST_ROWS = 2000
"""Test images used: attacks and explanations process every one of them for every replicate."""


@dataclass(frozen=True)
class TorchvisionDataset(Dataset):
    """A dataset that a torchvision class reads from `data_dir/folder`, or from `data_dir`.

    `marker` is a file that torchvision expects below its root.
    """

    folder: str = ""

    torchvision_name: ClassVar[str]
    home: ClassVar[str]
    marker: ClassVar[str]

    def root(self, data_dir: Path) -> Path:
        """Returns the root for torchvision; raises DataError if it is in neither place."""
        for root in (data_dir / self.folder, data_dir):
            if (root / self.marker).is_file():
                return root
        raise DataError(
            f"dataset {self.folder}: there is no {data_dir / self.folder / self.marker} (nor "
            f"{data_dir / self.marker}); run `trustbench data fetch {self.folder}`, or give "
            f"data_dir=FOLDER, the folder that holds {self.folder}/{self.marker}."
        )

    def read(self, data_dir: Path, **options: Any) -> Any:
        """Reads the torchvision dataset; raises DataError if its files are missing or broken."""
        root = self.root(data_dir)
        with self.naming_broken(root / self.marker):
            return self._torchvision(root, download=False, **options)

    @contextmanager
    def naming_broken(self, path: Path) -> Iterator[None]:
        """Converts what torchvision raises on broken files to a DataError that names `path`."""
        try:
            yield
        except BROKEN as error:
            raise DataError(
                f"dataset {self.folder}: torchvision cannot read {path} "
                f"({' '.join(str(error).split()) or type(error).__name__}); "
                f"run `trustbench data fetch {self.home}`."
            ) from error

    def source(self, data_dir: Path) -> Source:
        """Returns the folder that torchvision reads; raises DataError if it is in neither place."""
        original = f"delete it and run `trustbench data fetch {self.home}`"
        return Source(
            self.folder,
            (self.root(data_dir) / self.marker).parent,
            f"correct it, or {original if self.folder == self.home else 'put the original there'}",
        )

    def download(self, data_dir: Path) -> Path:
        """Downloads the official files with torchvision, which verifies them; returns the root."""
        if self.folder != self.home:
            raise DataError(
                f"dataset {self.folder}: not an official distribution, so it cannot be fetched; "
                f"put its files below {data_dir / self.folder}, or use dataset={self.home}."
            )
        root = data_dir / self.folder
        root.mkdir(parents=True, exist_ok=True)
        try:
            self._fetch(root)
        except (RuntimeError, URLError, OSError, ImportError) as error:
            raise DataError(
                f"dataset {self.folder}: torchvision cannot download it "
                f"({' '.join(str(error).split())}); check the network, or put its files below "
                f"{root} by hand."
            ) from error
        return root

    def states(self, data_dir: Path, verify: bool = False) -> list[FileState]:
        """Returns `present` or `missing`; with `verify`, whether torchvision can read the files."""
        try:
            root = self.root(data_dir)
        except DataError:
            return [FileState(data_dir / self.folder / self.marker, "missing")]
        if not verify:
            return [FileState(root / self.marker, "present")]
        try:
            self.read(data_dir)
        except DataError as error:
            return [FileState(root / self.marker, f"differs: {error}")]
        return [FileState(root / self.marker, "read by torchvision")]

    def _torchvision(self, root: Path, **options: Any) -> Any:
        return self._official()(root, **options)

    def _fetch(self, root: Path) -> None:
        self._torchvision(root, download=True)

    def _official(self) -> Any:
        """Torchvision's class."""
        import torchvision.datasets

        return getattr(torchvision.datasets, self.torchvision_name)


@dataclass(frozen=True)
class ClassImages(TorchvisionDataset):
    """Images whose groups are their classes; class `rare` may be cut in the training pool.

    The test set is drawn from the official test set (maximum 2,000 rows). Of the official training
    set, 20 % (maximum 2,000) are the calibration pool, 10 % (maximum 1,000) the validation set and
    the rest the training pool, stratified by class. `subsample` is the total number of rows, before
    the rare class is cut; every split keeps its share.
    """

    rare: Annotated[int, Field(ge=0, le=9)] | None = None
    keep: Annotated[float, Field(gt=0, le=1)] = 0.1
    subsample: Annotated[int, Field(ge=1)] | None = None

    card: ClassVar[DataCard]

    def load(self, data_dir: Path, streams: Streams) -> Problem:
        """The problem from torchvision's files; DataError when they cannot be read."""
        learn, test = (self.read(data_dir, train=t) for t in (True, False))
        refuse_faults(self.source(data_dir), {"training": learn, "test": test})
        y = np.concatenate([np.asarray(learn.targets), np.asarray(test.targets)])
        splits = subsample(
            self.folder, _split(self.folder, y, len(learn.targets), streams), self.subsample
        )
        rows = f"Used here: {sum(map(len, splits.values())):,} images."
        return class_problem(
            name=self.folder,
            images=np.concatenate([_channels_first(learn.data), _channels_first(test.data)]),
            brightest=255,
            y=y,
            classes=tuple(str(c).split(" - ")[0] for c in learn.classes),  # "8 - eight"
            splits=splits,
            card=replace(self.card, description=f"{self.card.description} {rows}"),
            rare=self.rare,
            keep=self.keep,
        )


def refuse_faults(source: Source, parts: Mapping[str, Any]) -> None:
    """Raises DataError if labels do not belong to the classes, or do not fit the images."""
    for part, read in parts.items():
        images, labels = len(read.data), len(read.targets)
        if images != labels:
            raise source.error(
                f"the {part} part in {source.path} has {labels:,} labels for {images:,} images"
            )
        places = pd.RangeIndex(1, labels + 1, name="image")
        label = Categorical(f"{part} label", levels=known(*map(str, range(len(read.classes)))))
        label.read(source, pd.Series(np.asarray(read.targets), index=places))
    sizes = {part: tuple(read.data.shape[1:]) for part, read in parts.items()}
    if len(set(sizes.values())) > 1:
        told = " and ".join(f"{'x'.join(map(str, s))} in the {p} part" for p, s in sizes.items())
        raise source.error(f"the images in {source.path} are {told}")


def _split(name: str, y: Array, n_learn: int, streams: Streams) -> Mapping[SplitName, Array]:
    rng = streams.numpy("split")
    sizes: dict[SplitName, int] = {
        "calibration": min(2000, n_learn // 5),
        "validation": min(1000, n_learn // 10),
    }
    splits = draw(name, y[:n_learn], sizes, rng)
    return {**splits, "test": n_learn + stratified_order(y[n_learn:], rng)[:TEST_ROWS]}


def _channels_first(images: Any) -> Array:
    """Converts torchvision's images, [n, h, w] or [n, h, w, c], to uint8 [n, c, h, w]."""
    array = np.asarray(images)
    return array[:, None] if array.ndim == 3 else np.moveaxis(array, -1, 1)
