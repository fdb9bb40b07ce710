"""Cells that go missing, and what stands in for them: masks and imputers that methods share."""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from trustbench.contracts import Array, Feature

Mechanism = Literal["mcar", "mar", "mnar"]
Imputer = Literal["mean", "median", "knn", "iterative"]
IMPUTERS: tuple[Imputer, ...] = get_args(Imputer)
NEIGHBOURS = 5


class Incomplete(NamedTuple):
    """Flattened rows X [m, d] and which of their cells are missing, bool [m, F], by feature."""

    X: Array
    lost: Array


def missing(
    X: Array,
    features: tuple[Feature, ...],
    mechanism: Mechanism,
    rate: float,
    affected: Array,
    rng: np.random.Generator,
    typical: Array,
) -> Array:
    """Which cells of rows X [m, d] go missing: bool [m, F], each with probability `rate`.

    `mcar` loses any cell. `mar` loses those of the `affected` rows, bool [m]. `mnar` loses those
    whose value is above `typical` [d], the column's median; of a category, those of any level but
    the most frequent. A larger rate adds cells to a smaller one.

    Reference: Rubin 1976, Biometrika 63(3).
    """
    drawn = rng.random((len(X), len(features))) < rate
    if mechanism == "mar":
        return np.asarray(drawn & affected[:, None])
    if mechanism == "mnar":
        return np.asarray(drawn & np.stack([_high(X, f, typical) for f in features], axis=1))
    return np.asarray(drawn)


def medians(X: Array, features: tuple[Feature, ...]) -> Array:
    """The median of every column [d]; of a category, 1 at its most frequent level."""
    out = np.median(X, axis=0)
    for feature in features:
        if feature.kind == "categorical":
            out[list(feature.columns)] = _mode(X[:, list(feature.columns)])
    return out


def _high(X: Array, feature: Feature, typical: Array) -> Array:
    columns = list(feature.columns)
    if feature.kind == "categorical":
        return np.asarray(X[:, columns].argmax(1) != typical[columns].argmax())
    return np.asarray((X[:, columns] > typical[columns]).any(axis=1))


def _mode(block: Array) -> Array:
    """The one-hot vector of the most frequent level of a block [m, k]."""
    return np.asarray(np.eye(block.shape[1])[block.sum(0).argmax()])


def imputed(
    fitted_on: Incomplete, rows: Incomplete, features: tuple[Feature, ...], how: Imputer
) -> Array:
    """The rows X [m, d] with their missing cells filled in, from what is left of `fitted_on`.

    `mean` and `median` of the column, and the most frequent level of a category; `knn`, the mean of
    the nearest rows; `iterative`, a regression on the other columns, repeated. Of the last two, a
    category gets its likeliest level. Numbers stay within the bounds of their feature. A column
    without a single value becomes 0, and its category the first level.

    Reference: Troyanskaya et al. 2001, Bioinformatics 17(6) (nearest rows); van Buuren and
    Groothuis-Oudshoorn 2011, JSS 45(3) (chained regressions).
    """
    known, asked = _with_gaps(fitted_on, features), _with_gaps(rows, features)
    # an imputer of scikit-learn fills gaps only, so that observed cells stay bit for bit
    filled = _imputer(how).fit(known).transform(asked)
    out = np.array(rows.X, dtype=np.float64)
    for k, feature in enumerate(features):
        at, columns = rows.lost[:, k], np.array(feature.columns)
        if not at.any():
            continue
        values = filled[np.ix_(at, columns)]
        if feature.kind == "categorical":
            values = np.eye(len(columns))[_levels(known[:, columns], values, how)]
        out[np.ix_(at, columns)] = values.clip(feature.lower, feature.upper)
    return out.astype(rows.X.dtype)


def _levels(known: Array, values: Array, how: Imputer) -> Array:
    """The level of every row of imputed blocks [m, k]."""
    if how in ("mean", "median"):
        return np.full(len(values), np.nansum(known, axis=0).argmax())
    return np.asarray(values.argmax(1))


def _with_gaps(table: Incomplete, features: tuple[Feature, ...]) -> Array:
    """The rows as scikit-learn takes them: float64 with NaN for a missing cell."""
    out = np.array(table.X, dtype=np.float64)
    for k, feature in enumerate(features):
        out[np.ix_(table.lost[:, k], np.array(feature.columns))] = np.nan
    return out


def _imputer(how: Imputer) -> Any:  # scikit-learn ships no types
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    if how == "knn":
        return KNNImputer(n_neighbors=NEIGHBOURS, keep_empty_features=True)
    if how == "iterative":
        return IterativeImputer(random_state=0, keep_empty_features=True)
    return SimpleImputer(strategy=how, keep_empty_features=True)
