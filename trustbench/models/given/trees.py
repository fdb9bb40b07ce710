"""The trees within a given model, where it is nothing but trees over columns of the table."""

from typing import Any, NamedTuple

import numpy as np
from pandas import DataFrame

from trustbench.contracts import Array
from trustbench.contracts.given import GivenModel
from trustbench.models.given.estimators import GivenEstimator
from trustbench.models.given.lightgbm_file import LightGBMModel
from trustbench.models.given.xgboost_file import XGBoostModel

ENSEMBLES = (
    "DecisionTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier",
    "HistGradientBoostingClassifier",
)  # fmt: skip


class Trees(NamedTuple):
    """What shap's TreeExplainer takes."""

    model: Any
    columns: tuple[str, ...]

    def encoded(self, rows: DataFrame) -> Array:
        """The numbers that the trees compare, float64 [n, columns]."""
        return rows[list(self.columns)].to_numpy(dtype=np.float64)


def trees_of(model: GivenModel) -> Trees | None:
    """The trees of a model, or None: no trees, unnamed columns, or columns of categories."""
    if isinstance(model, XGBoostModel) and model.columns and not model.categorical:
        return Trees(model.booster, model.columns) if not model.rounds else None
    if isinstance(model, LightGBMModel) and not model.categorical:
        named = model.columns[0] != "Column_0"
        return Trees(model.booster, model.columns) if named else None
    if isinstance(model, GivenEstimator) and type(model.estimator).__name__ in ENSEMBLES:
        names = getattr(model.estimator, "feature_names_in_", None)
        return None if names is None else Trees(model.estimator, tuple(map(str, names)))
    return None
