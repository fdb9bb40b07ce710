"""CIFAR-10 through torchvision."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from trustbench.contracts import DataCard
from trustbench.datasets.loading.batches import Batches, read_batches
from trustbench.datasets.loading.torchvision_sets import ClassImages


@dataclass(frozen=True)
class Cifar10(ClassImages):
    """Small colour photographs [n, 3, 32, 32] in [0, 1]; groups are the ten classes.

    The files are pickles: they are read only if their checksums are the official ones, by a reader
    that creates arrays and runs no code.

    Reference: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images, chapter 3.
    """

    folder: str = "cifar10"
    subsample: Annotated[int, Field(ge=1)] | None = 20000

    version: ClassVar[int] = 1
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Krizhevsky 2009, Learning Multiple Layers of Features"
    torchvision_name: ClassVar[str] = "CIFAR10"
    home: ClassVar[str] = "cifar10"
    marker: ClassVar[str] = "cifar-10-batches-py/data_batch_1"
    card: ClassVar[DataCard] = DataCard(
        description="Photographs of animals and vehicles, 32x32 colour pixels, 6,000 of each of "
        "10 classes; groups are the classes.",
        known_harms="A subset of 80 Million Tiny Images, which was withdrawn for offensive "
        "labels; the ten classes kept here have none. Near-duplicates exist between its splits.",
        licence="none stated",
        reference="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
        rows_public=True,
    )

    def _torchvision(self, root: Path, **options: Any) -> Batches:
        return read_batches(self._official(), root, options.get("train", True))

    def _fetch(self, root: Path) -> None:
        """Torchvision's download, which verifies the files, without its reader of pickles."""
        files = self._official().__new__(self._official())
        files.root = str(root)
        files.download()
