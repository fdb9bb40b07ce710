"""Handwritten digits, 8x8, with one class made rare; embedded in scikit-learn."""

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, DataCard, Dataset, Problem
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.columns import Categorical, Numeric, known
from trustbench.datasets.loading.pixels import class_problem
from trustbench.datasets.loading.sources import Source
from trustbench.datasets.loading.splits import draw, shares

CLASSES = tuple(map(str, range(10)))
BRIGHTEST = 16
DIGIT = Categorical("digit", levels=known(*CLASSES))
PIXELS = Numeric("pixel", low=0, high=BRIGHTEST, whole=True)

CARD = DataCard(
    description="1,797 handwritten digits of 43 people, 8x8 pixels of 17 grey levels, 10 classes "
    "of 174 to 183 images; groups are the classes.",
    known_harms="None known about people: who wrote a digit is not recorded, so one writer's "
    "digits may be in two splits.",
    licence="CC BY 4.0",
    reference="Alpaydin and Kaynak 1998, UCI 'Optical Recognition of Handwritten Digits' (its "
    "test set, as scikit-learn ships it)",
    rows_public=True,
)


@dataclass(frozen=True)
class Digits(Dataset):
    """Inputs [n, 64] in [0, 1]; groups are the classes, one of which is rare in training.

    28 % of the rows are the test set, 14 % the calibration pool, 10 % the validation set and the
    rest the training pool, stratified by class. Then class `rare` is cut to the share `keep` of its
    rows in the training pool; the other splits do not change. This is the rare-class protocol of
    the reference at the smallest meaningful size: at .3 a replicate sees a dozen images of the rare
    class. With fewer, private models never predict it and the accuracy gap is at its ceiling for
    every epsilon.

    Reference: Bagdasaryan et al. 2019, arXiv 1905.12101, section 4; Esipova et al. 2023, arXiv
    2206.07137 (digit 8 of MNIST).
    """

    rare: Annotated[int, Field(ge=0, le=9)] | None = 8
    keep: Annotated[float, Field(gt=0, le=1)] = 0.3

    version: ClassVar[int] = 1
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = CARD.reference

    @override
    def load(self, data_dir: Path, streams: Streams) -> Problem:
        images, y = _images_and_labels()
        sizes = shares(len(y), {"test": 0.28, "calibration": 0.14, "validation": 0.10})
        return class_problem(
            name="digits",
            images=images,
            brightest=BRIGHTEST,
            y=y,
            classes=CLASSES,
            splits=draw("digits", y, sizes, streams.numpy("split")),
            card=CARD,
            rare=self.rare,
            keep=self.keep,
            image=(8, 8),
        )


def _images_and_labels(path: Path | None = None) -> tuple[Array, Array]:
    """float64 [1797, 64] and int64 [1797], read from scikit-learn's own file as scikit-learn does.

    Importing scikit-learn takes a second, which inspecting a finished sweep need not spend.
    """
    path = path or _embedded()
    with gzip.open(path, "rt", encoding="latin1") as file:
        table = np.loadtxt(file, delimiter=",")
    places = pd.RangeIndex(1, len(table) + 1, name="line")
    source = Source("digits", path, "install scikit-learn again")
    labels = DIGIT.read(source, pd.Series(table[:, -1], index=places))
    PIXELS.read(source, pd.Series(table[:, :-1].max(axis=1), index=places))
    return table[:, :-1], labels.astype(np.int64)


def _embedded() -> Path:
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
