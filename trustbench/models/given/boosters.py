"""What the adapters of XGBoost and LightGBM share: a booster from its own file, or an object."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from trustbench.contracts.given import Adapter, GivenModel, ModelSource
from trustbench.errors import UserError
from trustbench.models.given.answers import own_classes
from trustbench.models.given.files import digest, existing
from trustbench.models.given.optional import optional


class BoosterAdapter(Adapter):
    """Opens the model files of a library of boosted trees, and its estimators in Python."""

    library: ClassVar[str]
    """The module of the library, such as xgboost."""
    rank: ClassVar[int] = 30

    @override
    def accepts(self, source: ModelSource) -> bool:
        if type(source.given).__module__.partition(".")[0] == self.library:
            return True
        path = source.path
        return path is not None and path.is_file() and self.begins(path)

    @override
    def open(self, source: ModelSource) -> GivenModel:
        library = optional(self.library, self.kind)
        if source.path is not None:
            path = existing(source.path, "model")
            return self.opened(source, self.read(library, path), digest(path))
        names = getattr(source.given, "classes_", None)
        if names is not None:
            source = replace(source, classes=own_classes(source, names))
        return self.opened(source, self.booster_of(source.given), None)

    @abstractmethod
    def begins(self, path: Path) -> bool:
        """Whether a file begins as the library's do."""

    @abstractmethod
    def read(self, library: Any, path: Path) -> Any:
        """The booster in a file; raises UserError if the library cannot read it."""

    @abstractmethod
    def booster_of(self, given: Any) -> Any:
        """The booster of an estimator of the library; a booster is its own."""

    @abstractmethod
    def opened(self, source: ModelSource, booster: Any, sha256: str | None) -> GivenModel:
        """A booster as a given model; raises UserError if it does not classify."""


def refuse_objective(
    library: str, source: ModelSource, objective: str, available: Sequence[str]
) -> None:
    """Raises UserError for an objective that gives no probabilities of classes."""
    if objective not in available:
        raise UserError(
            f"the {library} model {source.name} has the objective {objective}, which gives no "
            f"probabilities of classes; available: {', '.join(available)}."
        )
