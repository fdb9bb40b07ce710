"""A model of XGBoost, from its own JSON or UBJSON file; nothing is unpickled."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from typing_extensions import override

from trustbench.contracts import Array, Fact
from trustbench.contracts.given import GivenChannel, ModelSource
from trustbench.errors import UserError
from trustbench.models.given.answers import from_margins, named_classes
from trustbench.models.given.boosters import BoosterAdapter, refuse_objective
from trustbench.models.given.columns import Rows, numbers, ordered
from trustbench.models.given.optional import optional

BINARY = ("binary:logistic", "binary:logitraw", "reg:logistic")
SEVERAL = ("multi:softprob", "multi:softmax")
START = b'{"learner"'


@dataclass(frozen=True)
class XGBoostModel:
    """A booster of XGBoost that classifies. Columns are matched by name where the file has names.

    Categorical columns may hold the category's own value: the file holds the codes.
    """

    name: str
    booster: Any = field(repr=False)  # xgboost.Booster
    classes: tuple[str, ...]
    sha256: str | None = None
    rounds: int = 0  # those that answer; 0: all

    channels: ClassVar[frozenset[GivenChannel]] = frozenset({"probabilities", "queries"})
    module: ClassVar[None] = None

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the model's columns; None if it was trained on an array."""
        names = self.booster.feature_names
        return None if names is None else tuple(names)

    @property
    def categorical(self) -> tuple[int, ...]:
        """The positions of the categorical columns."""
        kinds = self.booster.feature_types or ()
        return tuple(k for k, kind in enumerate(kinds) if kind == "c")

    def predict_proba(self, rows: Rows) -> Array:
        """Probabilities, float64 [n, C]."""
        rounds = (0, self.rounds)  # (0, 0): all
        matrix = self._matrix(rows)
        return from_margins(
            self.booster.predict(matrix, output_margin=True, iteration_range=rounds)
        )

    def encoded(self, rows: Rows) -> Array:
        """The numbers that the trees compare, float64 [n, d]."""
        return numbers(self._table(rows), self.booster.num_features(), self.name)

    def describe(self) -> dict[str, Fact]:
        """The kind, the digest of the file, and the columns."""
        xgboost = optional("xgboost", "a model of XGBoost")
        return {
            "kind": f"XGBoost {xgboost.__version__}, {_objective(self.booster)}",
            "digest": self.sha256,
            "signature": ", ".join(self.columns or ()) or f"{self.booster.num_features()} columns",
            "rounds": self.rounds or self.booster.num_boosted_rounds(),
        }

    def _table(self, rows: Rows) -> Rows:
        return rows if self.columns is None else ordered(rows, self.columns, self.name)

    def _matrix(self, rows: Rows) -> Any:
        xgboost = optional("xgboost", "a model of XGBoost")
        table = self._table(rows)
        if not self.categorical:
            values = numbers(table, self.booster.num_features(), self.name)
            return xgboost.DMatrix(values, feature_names=self.booster.feature_names)
        frame = pd.DataFrame(table)
        chosen = {c: frame[c].astype("category") for c in frame.columns[list(self.categorical)]}
        return xgboost.DMatrix(frame.assign(**chosen), enable_categorical=True)


class XGBoostAdapter(BoosterAdapter):
    """Opens `.json` and `.ubj` files of XGBoost, and its estimators in Python."""

    kind: ClassVar[str] = "a model file of XGBoost"
    example: ClassVar[str] = "model.ubj"
    library: ClassVar[str] = "xgboost"

    @override
    def begins(self, path: Path) -> bool:
        return path.suffix == ".ubj" or (path.suffix == ".json" and _starts(path))

    @override
    def read(self, library: Any, path: Path) -> Any:
        booster = library.Booster()
        try:
            booster.load_model(str(path))
        except library.core.XGBoostError as error:
            reason = str(error).splitlines()[0].rpartition("Check failed: ")[2]
            raise UserError(
                f"XGBoost cannot read the model {path}: {reason.rstrip('.')}; save it again with "
                "save_model."
            ) from error
        return booster

    @override
    def booster_of(self, given: Any) -> Any:
        return given.get_booster() if hasattr(given, "get_booster") else given

    @override
    def opened(self, source: ModelSource, booster: Any, sha256: str | None) -> XGBoostModel:
        """The same; it also refuses categorical columns without their categories."""
        refuse_objective("XGBoost", source, _objective(booster), (*BINARY, *SEVERAL))
        classes = named_classes(source, max(2, _classes(booster)))
        model = XGBoostModel(source.name, booster, classes, sha256, _deployed_trees(booster))
        if model.categorical and not _has_categories(booster):
            raise UserError(
                f"the XGBoost model {source.name} has categorical columns and does not hold their "
                "categories (it was saved by a version before 3.1), so text cannot be coded as in "
                "training; load it there once, and save it with XGBoost 3.1 or later."
            )
        return model


def _starts(path: Path) -> bool:
    """Whether a JSON file begins as XGBoost's do."""
    with path.open("rb") as file:
        return b"".join(file.read(64).split()).startswith(START)


def _learner(booster: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(booster.save_config())["learner"]
    return found


def _objective(booster: Any) -> str:
    return str(_learner(booster)["objective"]["name"])


def _classes(booster: Any) -> int:
    """The number of classes, 0 for a model with a single output."""
    return int(_learner(booster)["learner_model_param"]["num_class"])


def _has_categories(booster: Any) -> bool:
    return any(levels is not None for _, levels in booster.get_categories(True).to_arrow())


def _deployed_trees(booster: Any) -> int:
    """How many rounds answer: scikit-learn's interface stops at the best one; 0 means all."""
    attributes = booster.attributes()
    if "scikit_learn" not in attributes or "best_iteration" not in attributes:
        return 0
    return int(attributes["best_iteration"]) + 1
