"""A problem: the arrays, splits, groups and feature descriptions that every later stage reads.

Shapes: n rows, d flattened features, `*shape` one input (``(d,)`` tabular, ``(c, h, w)`` image).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from trustbench.contracts.encoding import Encoder
from trustbench.contracts.problem_checks import refuse_faults

Array = np.ndarray[Any, Any]
SplitName = Literal["train", "validation", "calibration", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "calibration", "test")


@dataclass(frozen=True)
class Feature:
    """One named input in the model's scaled space.

    `columns` are its positions in the flattened input: one for a number, several for a one-hot
    block. `lower` and `upper` bound every value of a perturbed input. `scale` multiplies the radius
    of an attack (0: never perturbed). An immutable feature is one that a person cannot change, and
    `change` says that its value can only grow (up) or shrink (down). The columns of an embedding
    mean something only together.
    """

    name: str
    kind: Literal["numeric", "categorical", "pixel", "embedding"]
    columns: tuple[int, ...]
    lower: float
    upper: float
    mutable: bool = True
    scale: float = 1.0
    levels: tuple[str, ...] = ()
    # Not in repr, on which fingerprints from before this field existed depend.
    change: Literal["any", "up", "down"] = field(default="any", repr=False)

    @property
    def whole(self) -> bool:
        """Whether its columns mean something only together, so that none is perturbed alone."""
        return self.kind in ("categorical", "embedding")


@dataclass(frozen=True)
class DataCard:
    """What a reader must know before trusting a number measured on this data.

    `rows_public` says that single rows may be shown to anybody, also in reports: they are published
    for that purpose or synthetic, and nobody can be recognised in them.
    """

    description: str
    known_harms: str
    licence: str
    reference: str
    synthetic: bool = False
    rows_public: bool = False


class StructuralCausalModel(Protocol):
    """A known causal model of the data: exact counterfactuals in the model's scaled space."""

    def counterfactual(self, X: Array, group: int) -> Array:
        """The counterfactuals [n, d] of the people X [n, d], had they belonged to `group`."""
        ...


@dataclass(frozen=True)
class Problem:
    """The arrays, splits, groups and feature descriptions that later stages may read.

    Raises DataError with one sentence if the parts do not fit together: wrong lengths or dtypes,
    labels or groups out of range, splits that overlap or hold one class, features that do not
    describe every column exactly once, reversed bounds, values that are not finite. See
    `problem_checks`.
    """

    name: str
    X: Array  # float32 [n, *shape], scaled with statistics of the training pool only
    y: Array  # int64 [n]
    group: Array  # int64 [n]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    group_name: str  # what the groups stand for: "sex", "race", "class"
    features: tuple[Feature, ...]
    splits: Mapping[SplitName, Array]  # row indices; replicates draw their halves from "train"
    card: DataCard
    scm: StructuralCausalModel | None = None
    warnings: tuple[str, ...] = ()  # what a careful reader of the data would ask about
    encoder: Encoder | None = None  # how raw rows become X; in no fingerprint, as X is
    partial: bool = False  # whether splits may be empty: the rows on which a given model is audited

    def __post_init__(self) -> None:
        refuse_faults(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self.X.shape[1:])

    @property
    def n_features(self) -> int:
        """d, the number of columns of the flattened input."""
        return int(np.prod(self.shape))

    @property
    def binary(self) -> bool:
        """Whether the task has two classes; class 1 is then the favourable decision."""
        return len(self.classes) == 2

    def rows(self, split: SplitName) -> tuple[Array, Array, Array]:
        """(X [m, *shape], y [m], group [m]) of a split."""
        i = self.splits[split]
        return self.X[i], self.y[i], self.group[i]

    def per_column(self, attribute: Literal["lower", "upper", "scale", "mutable"]) -> Array:
        """A feature attribute for each flattened column: float32 [d] (`mutable`: 0 or 1)."""
        out = np.zeros(self.n_features, dtype=np.float32)
        for feature in self.features:
            out[list(feature.columns)] = float(getattr(feature, attribute))
        return out

    @property
    def fingerprint(self) -> str:
        """Returns a digest of every array and name that can change a number (32 hex digits)."""
        h = hashlib.sha256()
        for array in (self.X, self.y, self.group, *(self.splits[s] for s in SPLITS)):
            h.update(str((array.dtype.str, array.shape)).encode())
            h.update(np.ascontiguousarray(array).tobytes())
        h.update(repr((self.classes, self.groups, self.group_name, self.features)).encode())
        changes = [f.change for f in self.features]
        if set(changes) != {"any"}:
            h.update(repr(changes).encode())
        return h.hexdigest()[:32]
