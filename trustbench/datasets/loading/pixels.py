"""Problems whose inputs are images and whose groups are their classes."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from trustbench.contracts import Array, DataCard, Feature, Problem, SplitName
from trustbench.datasets.loading.splits import cut_rare, pack
from trustbench.errors import DataError

RARE_SENTENCE = (
    " Class {rare} is cut to {keep:.0%} of its training-pool rows ({left} stay); the other "
    "splits are natural."
)


def pixel_features(shape: tuple[int, ...]) -> tuple[Feature, ...]:
    """One feature for each pixel of an image of `shape` (h, w) or (c, h, w), scaled to [0, 1].

    >>> pixel_features((8, 8))[9].name
    'pixel_1_1'
    """
    return tuple(
        Feature("pixel_" + "_".join(map(str, place)), "pixel", (j,), 0.0, 1.0)
        for j, place in enumerate(np.ndindex(*shape))
    )


def class_problem(
    name: str,
    images: Array,
    brightest: int,
    y: Array,
    classes: tuple[str, ...],
    splits: Mapping[SplitName, Array],
    card: DataCard,
    rare: int | None,
    keep: float,
    image: tuple[int, ...] | None = None,
) -> Problem:
    """Builds the problem of images [n, *shape] of levels 0 to `brightest`, with groups = classes.

    Only the rows of a split become float32 in [0, 1]. `image` is the shape of the pixel grid if the
    inputs are flat.

    Raises:
        DataError: `rare` is not a class, or almost none of it would remain.
    """
    if rare is not None and not 0 <= rare < len(classes):
        raise DataError(
            f"dataset {name}: rare={rare} is not a class; give a number from 0 to "
            f"{len(classes) - 1}, or null for none."
        )
    pool = cut_rare(name, splits["train"], y, rare, keep)
    rows, packed = pack({**splits, "train": pool})
    labels = y[rows].astype(np.int64)
    return Problem(
        name=name,
        X=np.ascontiguousarray(images[rows], dtype=np.float32) / np.float32(brightest),
        y=labels,
        group=labels.copy(),
        classes=classes,
        groups=classes,
        group_name="class",
        features=pixel_features(image or images.shape[1:]),
        splits=packed,
        card=_declared(card, rare, keep, int((y[pool] == rare).sum())),
    )


def _declared(card: DataCard, rare: int | None, keep: float, left: int) -> DataCard:
    if rare is None:
        return card
    cut = RARE_SENTENCE.format(rare=rare, keep=keep, left=left)
    return replace(card, description=card.description + cut)
