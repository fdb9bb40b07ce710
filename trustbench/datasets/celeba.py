"""CelebA through torchvision: one attribute of a face is the class, another the group."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, DataCard, Problem, SplitName
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.pixels import pixel_features
from trustbench.datasets.loading.splits import pack, strata_of, stratified_order, subsample
from trustbench.datasets.loading.torchvision_sets import TEST_ROWS, TorchvisionDataset
from trustbench.errors import DataError, did_you_mean

IMAGES = "img_align_celeba"

CARD = DataCard(
    description="Photographs of celebrities, cropped to the face and made small; class and group "
    "are two of 40 annotated attributes. The official partition keeps a person in one split; "
    "calibration pool and validation set are halves of its validation part and share people.",
    known_harms="Attributes are judgements of annotators, some demeaning, 'Male' is a binary guess "
    "from looks, most faces are white and young; nobody shown was asked. Not for decisions about "
    "people (Ramaswamy et al. 2021, arXiv 2012.01469, appendix).",
    licence="non-commercial research only (CelebA agreement)",
    reference="Liu et al. 2015, Deep Learning Face Attributes in the Wild, arXiv 1411.7766",
)


@dataclass(frozen=True)
class CelebA(TorchvisionDataset):
    """Attribute `target` (class 1: present) from a face [n, 3, s, s] in [0, 1].

    The group is attribute `sensitive`. The official training part is the training pool, up to 2,000
    rows of its test part are the test set, and its validation part is split into calibration pool
    and validation set. Only the `subsample` rows are decoded, at `image_size` s pixels a side.

    Reference: Liu et al. 2015, arXiv 1411.7766, section 4.1.
    """

    folder: str = "celeba"
    target: str = "Smiling"
    sensitive: str = "Male"
    image_size: Annotated[int, Field(ge=8, le=178)] = 32
    subsample: Annotated[int, Field(ge=1)] | None = 20000

    version: ClassVar[int] = 1
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = CARD.reference
    torchvision_name: ClassVar[str] = "CelebA"
    home: ClassVar[str] = "celeba"
    marker: ClassVar[str] = "celeba/list_attr_celeba.txt"

    @override
    def load(self, data_dir: Path, streams: Streams) -> Problem:
        parts = [
            self.read(data_dir, split=part, transform=self._transform())
            for part in ("train", "valid", "test")
        ]
        names = [n for n in parts[0].attr_names if n]
        chosen = {"target": self.target, "sensitive": self.sensitive}
        columns = [_column(names, field, attribute) for field, attribute in chosen.items()]
        labels = np.concatenate([np.asarray(part.attr)[:, columns] for part in parts])
        y, group = labels.astype(np.int64).T
        splits = subsample(
            "celeba", _split(strata_of(y, group), list(map(len, parts)), streams), self.subsample
        )
        rows, packed = pack(splits)
        return Problem(
            name="celeba",
            X=self._decoded(parts, rows),
            y=y[rows],
            group=group[rows],
            classes=(f"not {self.target}", self.target),
            groups=(f"not {self.sensitive}", self.sensitive),
            group_name=self.sensitive,
            features=pixel_features((3, self.image_size, self.image_size)),
            splits=packed,
            card=replace(CARD, description=f"{CARD.description} Used here: {len(rows):,} images."),
        )

    def _transform(self) -> Any:
        from torchvision import transforms

        return transforms.Compose(
            [
                transforms.CenterCrop(178),
                transforms.Resize(self.image_size),
                transforms.PILToTensor(),
            ]
        )

    def _decoded(self, parts: list[Any], rows: Array) -> Array:
        """The images of rows [k] of the concatenated parts: float32 [k, 3, s, s]."""
        starts = np.cumsum([0, *map(len, parts)])
        X = np.empty((len(rows), 3, self.image_size, self.image_size), dtype=np.float32)
        for i, row in enumerate(rows):
            k = int(np.searchsorted(starts, row, side="right")) - 1
            part, place = parts[k], int(row - starts[k])
            with self.naming_broken(
                Path(part.root, part.base_folder, IMAGES, part.filename[place])
            ):
                X[i] = part[place][0].numpy()
        return X / np.float32(255)


def _column(names: list[str], field: str, attribute: str) -> int:
    if attribute not in names:
        raise DataError(
            f"dataset celeba: {field}={attribute} is not an attribute; "
            f"{did_you_mean(attribute, names)}"
        )
    return names.index(attribute)


def _split(strata: Array, lengths: list[int], streams: Streams) -> dict[SplitName, Array]:
    rng = streams.numpy("split")
    train, valid, test = (
        start + stratified_order(strata[start : start + n], rng)
        for start, n in zip(np.cumsum([0, *lengths[:2]]), lengths, strict=True)
    )
    half = len(valid) // 2
    return {
        "train": train,
        "validation": valid[half:],
        "calibration": valid[:half],
        "test": test[:TEST_ROWS],
    }
