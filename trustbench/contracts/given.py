"""A given model: one that trustbench did not train, such as a scikit-learn estimator or a table."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

from trustbench.contracts.arrays import Array
from trustbench.contracts.system import Fact

if TYPE_CHECKING:
    import torch
    from pandas import DataFrame

GivenChannel = Literal["probabilities", "queries", "gradients", "parameters"]
"""What a given model offers.

`probabilities`: its answers are probabilities; otherwise each row of `predict_proba` is a decision,
1 for one class and 0 for the others. `queries`: it answers rows that nobody has seen, so that it
can be attacked and explained; a table of predictions cannot. `gradients` and `parameters`: its
`module` is a torch module.
"""

PICKLE = "pickle"
"""Among `ModelSource.trust`: a file may be unpickled, which runs whatever code it holds."""


@runtime_checkable
class GivenModel(Protocol):
    """A model as `trustbench audit` measures it; `given_checks.py` holds every one to this.

    `predict_proba` returns finite numbers [n, C] that sum to 1 in each row, in the order of
    `classes`. The same rows get the same answers, alone or in any batch.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, as text: those that the target column holds."""
        ...

    @property
    def channels(self) -> frozenset[GivenChannel]:
        """What the model offers beyond decisions."""
        ...

    @property
    def module(self) -> "torch.nn.Module | None":
        """The torch module, which maps scaled inputs to logits; None without gradients."""
        ...

    def predict_proba(self, rows: "DataFrame | Array") -> Array:
        """Probabilities, float64 [n, C].

        `rows` is the user's table as it is read (every column but the target), or an array
        [n, *shape] for a model without named columns.
        """
        ...

    def describe(self) -> dict[str, Fact]:
        """What a card says: at least `kind`, `digest` (of a file) and `signature` (its columns)."""
        ...


@dataclass(frozen=True)
class ModelSource:
    """Where a given model comes from, as the user wrote it.

    Args:
        given: a path, a URI or a column list as text, or a Python object.
        trust: names of types that a file may hold, or `PICKLE`.
        classes: the names of the target's classes in order, whichever is favourable, for a source
            that does not hold its own.
        favourable: of two classes, the one whose probability a single score is; None: the last.
        table: the rows that are audited, without their target.
        options: further settings of single adapters, such as `timeout_s` of an HTTP endpoint.
    """

    given: Any
    trust: frozenset[str] = frozenset()
    classes: tuple[str, ...] | None = None
    favourable: str | None = None
    table: "DataFrame | None" = None
    options: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def path(self) -> Path | None:
        """The existing file or folder that the source names; None if it names none."""
        if not isinstance(self.given, str | Path) or "://" in str(self.given):
            return None
        path = Path(self.given).expanduser()
        return path if path.exists() else None

    @property
    def name(self) -> str:
        """The source in a sentence."""
        return str(self.given) if isinstance(self.given, str | Path) else type(self.given).__name__


class Adapter(ABC):
    """Opens one kind of given model.

    Each module of `trustbench/models/given/` that defines one is found there; nothing lists them.
    """

    kind: ClassVar[str]
    """What it opens, for the sentence that lists all kinds: "a scikit-learn estimator"."""
    example: ClassVar[str]
    """How a user writes such a source: "model.skops"."""
    rank: ClassVar[int] = 50
    """Adapters are tried in ascending order; the one that takes any object comes last."""

    @abstractmethod
    def accepts(self, source: ModelSource) -> bool:
        """Whether the source is of this kind, by its form alone; imports nothing heavy."""

    @abstractmethod
    def open(self, source: ModelSource) -> GivenModel:
        """Returns the model; raises UserError with one sentence if it cannot be used."""
