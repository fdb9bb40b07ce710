"""Explanations by the packages `shap` and `lime`, for models that answer questions only.

Runs use the vectorised methods of this folder; a given model is a single one, and what its owner
would compute with these packages is what its audit measures.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from trustbench.contracts import Array, Feature

Margins = Callable[[Array], Array]
"""Inputs [n, d] -> log-odds of each class, [n, C]."""


@dataclass(frozen=True)
class Questions:
    """A model as both packages see it.

    Args:
        margins: its log-odds.
        features: the features of its inputs.
        pool: rows [m, d] that say what is usual.
        seed: of the packages' random numbers.
    """

    margins: Margins
    features: Sequence[Feature]
    pool: Array
    seed: int

    def spread(self, values: Array, X: Array) -> Array:
        """Values [n, features] -> [n, d]: a category's go to the column of its level."""
        out = np.zeros(X.shape)
        for k, feature in enumerate(self.features):
            block = list(feature.columns)
            place = X[:, block].argmax(axis=1) if len(block) > 1 else np.zeros(len(X), dtype=int)
            out[np.arange(len(X)), np.array(block)[place]] = values[:, k]
        return out


def kernel_shap(of: Questions, X: Array, classes: Array, *, samples: int, background: int) -> Array:
    """Shapley values [n, d] of the log-odds of `classes` [n], by shap's KernelExplainer.

    A feature is in a coalition with all its columns.

    Reference: Lundberg and Lee 2017, arXiv 1705.07874.
    """
    from shap import KernelExplainer
    from shap.utils._legacy import DenseData

    rng = np.random.default_rng(of.seed)
    rows = of.pool[rng.permutation(len(of.pool))[:background]]
    names = [f.name for f in of.features]
    groups = [np.array(f.columns) for f in of.features]
    explainer = KernelExplainer(of.margins, DenseData(rows, names, groups))
    with _seeded(of.seed):
        found = explainer.shap_values(X, nsamples=samples, silent=True, l1_reg=0)
    return of.spread(_own(np.asarray(found), classes), X)


def tree_shap(trees: Any, encoded: Array, classes: Array) -> Array:
    """Shapley values [n, columns] of the trees' output for `classes`, by shap's TreeExplainer.

    They are exact for the distribution of the training rows along the paths of the trees.

    Args:
        trees: a booster or an ensemble of scikit-learn.
        encoded: the numbers that its trees compare, [n, columns].
        classes: int64 [n].

    Reference: Lundberg et al. 2020, Nature Machine Intelligence 2.
    """
    from shap import TreeExplainer

    explainer = TreeExplainer(trees, feature_perturbation="tree_path_dependent")
    with warnings.catch_warnings():
        # of a form that older versions answered in
        warnings.filterwarnings("ignore", "LightGBM binary classifier", UserWarning)
        found = np.asarray(explainer.shap_values(encoded))
    if found.ndim == 2:  # one output: the second of two classes
        return found * np.where(classes == 1, 1.0, -1.0)[:, None]
    return _own(found, classes)


def lime(of: Questions, X: Array, classes: Array, *, samples: int) -> Array:
    """What each feature adds by lime's tabular explainer around each row, [n, d].

    The slope of a number times its distance from the mean; the coefficient of a category's level.

    Reference: Ribeiro et al. 2016, arXiv 1602.04938; lime 0.2, lime_tabular.
    """
    from lime.lime_tabular import LimeTabularExplainer

    single = [len(f.columns) == 1 for f in of.features]
    described = _described(of.features, of.pool)
    kinds = [k for k, one in enumerate(single) if not one]
    explainer = LimeTabularExplainer(
        described,
        categorical_features=kinds,
        discretize_continuous=False,
        sample_around_instance=True,
        random_state=np.random.RandomState(of.seed % 2**32),
    )

    def chances(rows: Array) -> Array:
        z = of.margins(_inputs(of.features, rows, X.shape[1]))
        return np.asarray(1 / (1 + np.exp(-z)))

    values = np.zeros((len(X), len(of.features)))
    own = _described(of.features, X)
    for i, (row, label) in enumerate(zip(own, classes, strict=True)):
        explained = explainer.explain_instance(
            row, chances, labels=(int(label),), num_features=len(row), num_samples=samples
        )
        for k, coefficient in explained.local_exp[int(label)]:
            scaled = (row[k] - explainer.scaler.mean_[k]) / explainer.scaler.scale_[k]
            values[i, k] = coefficient * (scaled if single[k] else 1.0)
    return of.spread(values, X)


def _described(features: Sequence[Feature], X: Array) -> Array:
    """One number for each feature: its value, or the place of its level, [n, features]."""
    parts = [
        X[:, f.columns[0]] if len(f.columns) == 1 else X[:, list(f.columns)].argmax(axis=1)
        for f in features
    ]
    return np.stack([np.asarray(p, dtype=np.float64) for p in parts], axis=1)


def _inputs(features: Sequence[Feature], described: Array, d: int) -> Array:
    """Undoes `_described`: [n, features] -> [n, d]."""
    X = np.zeros((len(described), d))
    for k, f in enumerate(features):
        if len(f.columns) == 1:
            X[:, f.columns[0]] = described[:, k]
        else:
            place = np.array(f.columns)[described[:, k].astype(int)]
            X[np.arange(len(X)), place] = 1.0
    return X


def _own(values: Array, classes: Array) -> Array:
    """The values [n, columns] of each row's own class, from [n, columns, C]."""
    return np.asarray(values[np.arange(len(values)), :, classes])


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Gives numpy's global state a seed meanwhile: shap draws coalitions from it."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.set_state(np.random.RandomState(seed % 2**32).get_state())  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
