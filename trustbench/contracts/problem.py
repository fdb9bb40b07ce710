"""A problem: the arrays, splits, groups and feature descriptions that every later stage reads.

Shapes: n rows, d flattened features, `*shape` one input (``(d,)`` tabular, ``(c, h, w)`` image).
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from trustbench.contracts import problem_checks as check
from trustbench.contracts.arrays import SPLITS, Array, SplitName
from trustbench.contracts.encoding import Encoder
from trustbench.contracts.features import Feature
from trustbench.errors import DataError


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
    """A causal model of the inputs X [n, d], in the model's scaled space.

    The semi-latent space Q [n, d] has the columns of X: values of the sensitive variables and of
    variables without a cause, and in place of every other value its noise. If a model is not
    `exact`, it was learnt from rows of the data, which the data set declares.
    """

    @property
    def sensitive(self) -> tuple[int, ...]:
        """The columns of the sensitive variables."""
        ...

    @property
    def exact(self) -> bool:
        """Whether the equations are those that made the data."""
        ...

    def levels(self) -> Array:
        """The combinations [L, s] of the sensitive variables' values, in their columns."""
        ...

    def latent(self, X: Array) -> Array:
        """Abduction: X -> Q."""
        ...

    def from_latent(self, Q: Array) -> Array:
        """Prediction: Q -> X. It undoes `latent` up to rounding."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws n new people X [n, d], with independent noise."""
        ...

    def state(self) -> bytes:
        """What the fingerprint of the data must see of the model: all that was learnt or given."""
        ...

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
    favoured: tuple[int, ...] = ()  # of three or more classes, the favourable ones, if declared
    partial: bool = False  # whether splits may be empty: the rows on which a given model is audited

    def __post_init__(self) -> None:
        fault = next(self._faults(), None)
        if fault is not None:
            raise DataError(f"dataset {self.name}: {fault}.")

    def _faults(self) -> Iterator[str]:
        """What does not fit together, a sentence each; later checks rely on earlier ones."""
        yield from check.names(self.classes, self.groups)
        yield from check.favoured(self.favoured, self.classes)
        yield from check.arrays(self.X, {"y": self.y, "group": self.group})
        yield from check.values(self.X)
        yield from check.splits(self.splits, len(self.X), self.partial)
        yield from check.codes("y", self.y, self.classes)
        yield from check.codes("group", self.group, self.groups)
        if not self.partial:
            yield from check.classes(self.y, self.classes, self.splits)
            yield from check.groups(self.group, self.groups, self.group_name, self.splits)
        width = None if self.encoder is None else self.encoder.width
        yield from check.features(self.features, self.n_features, width)
        yield from check.bounds(self.features)

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

    @property
    def favourable(self) -> Array | None:
        """Which decisions are favourable, bool [C]; None for several classes without a declaration.

        Of two classes it is class 1.
        """
        chosen = (1,) if self.binary else self.favoured
        return np.isin(np.arange(len(self.classes)), chosen) if chosen else None

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
        if self.favoured:
            h.update(repr(("favourable", self.favoured)).encode())
        if self.scm is not None:
            h.update(self.scm.state())
        return h.hexdigest()[:32]
