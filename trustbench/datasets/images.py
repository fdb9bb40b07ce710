"""A user's own images: a folder for each class, or a table of paths, labels and groups."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, DataCard, Dataset, Problem, SplitName
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.files import digest
from trustbench.datasets.loading.own.declared import OwnersCard, Split
from trustbench.datasets.loading.own.decoding import Decoder, Transform
from trustbench.datasets.loading.own.findings import assumed_favourable
from trustbench.datasets.loading.own.groups import read_groups
from trustbench.datasets.loading.own.image_files import PART, Listed, as_images, list_images, refuse
from trustbench.datasets.loading.own.splitting import Copies, crossing, make_splits
from trustbench.datasets.loading.pixels import pixel_features
from trustbench.datasets.loading.splits import pack, subsample
from trustbench.datasets.loading.tabular import Groups
from trustbench.errors import did_you_mean

OWNER = OwnersCard(
    known_harms="not stated by the owner of the images",
    licence="not stated by the owner of the images",
    reference="images of the user",
)


@dataclass(frozen=True)
class Images(Dataset):
    """The class of an image [n, c, s, s] in [0, 1], for the groups of `sensitive`, else by class.

    `path` is a folder with a folder for each class (also within the folders train and test), or a
    CSV with the columns `image` (paths relative to the CSV), `label` and those of `sensitive`.
    `classes` gives the order of the labels, the favourable one of two last. `transforms` are
    torchvision's, by name, such as {name: CenterCrop, size: 178}; then the image is scaled to
    `image_size` pixels a side, in grey or colour. Only the `subsample` rows are decoded; with
    `cache` they are kept below `data_dir` until a file or a setting changes.
    """

    path: str | None = None
    image: str = "path"
    label: str = "label"
    classes: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    min_group: Annotated[int, Field(ge=2)] = 30
    channels: Literal["grey", "colour"] = "colour"
    image_size: Annotated[int, Field(ge=8, le=512)] = 32
    transforms: tuple[Transform, ...] = ()
    split: Split = field(default_factory=Split)
    subsample: Annotated[int, Field(ge=1)] | None = None
    cache: bool = True
    card: OwnersCard = field(default_factory=lambda: OWNER)

    version: ClassVar[int] = 1
    reference: ClassVar[str] = "the user's own images"
    reads_rows: ClassVar = ()
    paths: ClassVar[frozenset[str]] = frozenset({"path"})

    @override
    def state(self, data_dir: Path) -> str:
        listed = self._listed(data_dir)
        states = [f.stat() for f in listed.files]
        seen = zip(listed.files, listed.labels, states, strict=True)
        told = [f"{f} {label} {s.st_size} {s.st_mtime_ns}" for f, label, s in seen]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()

    @override
    def load(self, data_dir: Path, streams: Streams) -> Problem:
        listed = self._listed(data_dir)
        classes = self._classes(listed.labels)
        y = pd.Categorical(listed.labels, categories=list(classes)).codes.astype(np.int64)
        copies = _copies(listed.files, y)
        with as_images():
            groups = Groups("class", classes, y)
            if self.sensitive:
                groups = read_groups(listed.table, self.sensitive, {}, self.min_group).groups
            split, rng = self._split(listed), streams.numpy("split")
            whole = make_splits(listed.table, split, y, groups.codes, copies, rng)
        splits = subsample("images", whole, self.subsample)
        rows, packed = pack(splits)
        decoder = Decoder(self.channels, self.image_size, self.transforms)
        images = decoder.decoded(
            [listed.files[row] for row in rows], data_dir if self.cache else None
        )
        return Problem(
            name="images",
            X=images.astype(np.float32) / np.float32(255),
            y=y[rows],
            group=groups.codes[rows].astype(np.int64),
            classes=classes,
            groups=groups.names,
            group_name=groups.name,
            features=pixel_features(decoder.shape),
            splits=packed,
            card=self._card(len(listed.files), len(rows)),
            warnings=(*self._assumed(classes), *_warnings(splits, copies)),
        )

    @override
    def read_raw(self, rows: pd.DataFrame) -> Array:
        if self.image not in rows.columns:
            raise refuse(
                f"the rows have no column {self.image!r} with the paths of images; they have "
                f"{', '.join(map(str, rows.columns))}"
            )
        files = [Path(str(path)).expanduser() for path in rows[self.image]]
        missing = next((file for file in files if not file.is_file()), None)
        if missing is not None:
            raise refuse(f"there is no image {missing}; correct the column {self.image}")
        decoder = Decoder(self.channels, self.image_size, self.transforms)
        return decoder.decoded(files, None).astype(np.float32) / np.float32(255)

    def _listed(self, data_dir: Path) -> Listed:
        if self.path is None:
            raise refuse("no images are given; name a folder or a CSV with dataset.path=FILE")
        given = Path(self.path).expanduser()
        places = [given] if given.is_absolute() else [Path.cwd() / given, data_dir / given]
        for place in places:
            if place.exists():
                return list_images(place, self.image, self.label, self.sensitive)
        raise refuse(f"there is nothing at {' nor '.join(map(str, places))}; correct dataset.path")

    def _classes(self, labels: Sequence[str]) -> tuple[str, ...]:
        found = sorted(set(labels))
        if len(found) < 2:
            raise refuse(f"all images are of the class {found[0]!r}; add those of another class")
        for name in self.classes:
            if name not in found:
                raise refuse(
                    f"dataset.classes names {name!r}, which no image has; "
                    f"{did_you_mean(name, found).rstrip('.')}"
                )
        left = [name for name in found if name not in self.classes]
        if self.classes and left:
            raise refuse(f"dataset.classes leaves out {', '.join(left)}; give the order of all")
        return self.classes or tuple(found)

    def _assumed(self, classes: Sequence[str]) -> tuple[str, ...]:
        """A sentence where nobody has said which of two classes is favourable."""
        if self.classes or len(classes) > 2:
            return ()
        key = f"dataset.classes=[{','.join(classes)}]"
        return (f"dataset images: {assumed_favourable(classes, key).text}.",)

    def _split(self, listed: Listed) -> Split:
        """The declared split; that of the folders train and test if there are such."""
        if PART in listed.table and self.split.by == "random" and not self.sensitive:
            return replace(self.split, by="column", column=PART)
        return self.split

    def _card(self, found: int, used: int) -> DataCard:
        how = [f"{t.get('name')}" for t in self.transforms]
        steps = f" after {', '.join(how)}" if how else ""
        return DataCard(
            description=f"{used:,} of {found:,} images, in {self.channels}, scaled to "
            f"{self.image_size} pixels a side{steps}.",
            known_harms=self.card.known_harms,
            licence=self.card.licence,
            reference=self.card.reference,
            rows_public=self.card.rows_public,
        )


def _copies(files: Sequence[Path], y: Array) -> Copies:
    """Finds the files that repeat another's bytes and class; only files of one size are read."""
    sizes = [file.stat().st_size for file in files]
    many = Counter(sizes)
    content = [
        digest(file) if many[size] > 1 else str(k)
        for k, (file, size) in enumerate(zip(files, sizes, strict=True))
    ]
    named = pd.Series(content) + " " + pd.Series(y.astype(str))
    return Copies.numbered(pd.factorize(named)[0].astype(np.int64))


def _warnings(splits: dict[SplitName, Array], copies: Copies) -> tuple[str, ...]:
    crossed = crossing(splits, copies)
    if not crossed:
        return ()
    text = (
        f"dataset images: {crossed:,} images have a copy in another part of the split, which makes "
        "every number too good; keep copies together with dataset.split.duplicates=together."
    )
    return (text,)
