"""A model of LightGBM, from its own text file; nothing is unpickled."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from typing_extensions import override

from trustbench.contracts import Array, Fact
from trustbench.contracts.given import GivenChannel, ModelSource
from trustbench.errors import UserError
from trustbench.models.given.answers import both_classes, named_classes, normalised
from trustbench.models.given.boosters import BoosterAdapter, refuse_objective
from trustbench.models.given.columns import Rows, is_number, numbers, ordered
from trustbench.models.given.optional import optional

BINARY = ("binary", "cross_entropy")
SEVERAL = ("multiclass", "multiclassova")
START = b"tree\n"


@dataclass(frozen=True)
class LightGBMModel:
    """A booster of LightGBM that classifies; columns are matched by name.

    A categorical column may hold the category's own value if the model was trained on a DataFrame:
    the file then holds the codes.
    """

    name: str
    booster: Any = field(repr=False)  # lightgbm.Booster
    classes: tuple[str, ...]
    sha256: str | None = None

    channels: ClassVar[frozenset[GivenChannel]] = frozenset({"probabilities", "queries"})
    module: ClassVar[None] = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the model's columns; "Column_0", ... if it was trained on an array."""
        return tuple(self.booster.feature_name())

    @cached_property
    def categorical(self) -> tuple[int, ...]:
        """The positions of the categorical columns that hold values rather than codes."""
        if not self.booster.pandas_categorical:
            return ()
        infos = self.booster.dump_model(num_iteration=1)["feature_infos"]
        listed = {name for name, info in infos.items() if info["values"]}
        return tuple(k for k, name in enumerate(self.columns) if name in listed)

    def predict_proba(self, rows: Rows) -> Array:
        """Probabilities, float64 [n, C]."""
        answer = self.booster.predict(self._table(rows))
        # one-versus-all models give each class a probability of its own
        return normalised(both_classes(answer) if answer.ndim == 1 else answer)

    def encoded(self, rows: Rows) -> Array:
        """The numbers that the trees compare, float64 [n, d]."""
        return numbers(self._table(rows), len(self.columns), self.name)

    def describe(self) -> dict[str, Fact]:
        """The kind, the digest of the file, and the columns."""
        lightgbm = optional("lightgbm", "a model of LightGBM")
        return {
            "kind": f"LightGBM {lightgbm.__version__}, {_objective(self.booster)}",
            "digest": self.sha256,
            "signature": ", ".join(self.columns),
            "rounds": self.booster.current_iteration(),
        }

    def _table(self, rows: Rows) -> Rows:
        named = self.columns[0] != "Column_0" and isinstance(rows, pd.DataFrame)
        table = ordered(rows, self.columns, self.name) if named else rows
        if not self.categorical:
            return numbers(table, len(self.columns), self.name)
        frame = pd.DataFrame(table)
        kept = frame.columns[list(self.categorical)]
        text = [c for c in frame.columns.difference(kept) if not is_number(frame[c])]
        numbers(frame[text], 0, self.name)
        return frame.assign(**{c: frame[c].astype("category") for c in kept})


class LightGBMAdapter(BoosterAdapter):
    """Opens text files of LightGBM, and its estimators in Python."""

    kind: ClassVar[str] = "a model file of LightGBM"
    example: ClassVar[str] = "model.txt"
    library: ClassVar[str] = "lightgbm"

    @override
    def begins(self, path: Path) -> bool:
        with path.open("rb") as file:
            return file.read(len(START) + 1).replace(b"\r", b"").startswith(START)

    @override
    def read(self, library: Any, path: Path) -> Any:
        try:
            return library.Booster(model_file=str(path))
        except library.basic.LightGBMError as error:
            raise UserError(
                f"LightGBM cannot read the model {path}: {error}; save it again with save_model."
            ) from error

    @override
    def booster_of(self, given: Any) -> Any:
        return getattr(given, "booster_", given)

    @override
    def opened(self, source: ModelSource, booster: Any, sha256: str | None) -> LightGBMModel:
        refuse_objective("LightGBM", source, _objective(booster), (*BINARY, *SEVERAL))
        classes = named_classes(source, max(2, booster.num_model_per_iteration()))
        return LightGBMModel(source.name, booster, classes, sha256)


def _objective(booster: Any) -> str:
    """The objective that the file states, without its settings."""
    return str(booster.dump_model(num_iteration=1).get("objective", "custom")).split()[0]
