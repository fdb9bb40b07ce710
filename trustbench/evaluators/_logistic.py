"""A plain logistic regression on each replicate's own rows: a baseline for any model."""

import warnings
from typing import NamedTuple

import numpy as np

from trustbench.contracts import Array, System
from trustbench.methods.groups import means

ROWS = 1000
"""Maximum rows of a fit: the number of a replicate in the memorising regime; takes seconds."""
ITERATIONS = 200
"""Maximum iterations of L-BFGS; part of the definition of the reference, so a fit may stop here."""


class Reference(NamedTuple):
    """The results of the regression for each replicate, float [R] each."""

    accuracy: Array
    balanced_accuracy: Array
    member_accuracy: Array
    """On the rows of the fit."""


def reference(system: System) -> Reference:
    """scikit-learn's logistic regression, C = 1, on standardised inputs as the models see them.

    Each replicate has its own fit, on the true labels of at most `ROWS` of the pool rows on which
    it was trained, drawn from a stream that all arms share. The reference thus depends only on the
    data, the halves and the seed, and is the same for every arm of a study.
    """
    fits: dict[bytes, tuple[float, float, float]] = {}
    found = []
    for r, inside in enumerate(system.membership):
        key = inside.tobytes()  # replicates of one pool (inclusion=all) share a fit
        if key not in fits:
            fits[key] = _fit(system, r)
        found.append(fits[key])
    return Reference(*np.array(found).T)


def _fit(system: System, replicate: int) -> tuple[float, float, float]:
    """Test accuracy, balanced test accuracy, and accuracy on the rows of the fit."""
    X, y, _ = system.problem.rows("train")
    rows = np.flatnonzero(system.membership[replicate])
    if len(rows) > ROWS:
        rng = system.streams.numpy("controls", replicate, "logistic_rows")
        rows = np.sort(rng.choice(rows, size=ROWS, replace=False))
    own = X[rows].reshape(len(rows), -1)
    X_test, y_test, _ = system.problem.rows("test")
    told, tested = _predictions(own, y[rows], own, X_test.reshape(len(X_test), -1))
    hit = (tested == y_test).astype(np.float64)
    recall = means(hit[None], y_test, len(system.problem.classes))
    return float(hit.mean()), float(np.nanmean(recall)), float((told == y[rows]).mean())


def _predictions(X: Array, y: Array, *wanted: Array) -> list[Array]:
    """The classes that a regression on (X, y) predicts for each array in `wanted`."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(y)) == 1:  # a half so small that it has only one class
        return [np.full(len(x), y[0]) for x in wanted]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X.astype(np.float64), y)
    return [model.predict(x.astype(np.float64)) for x in wanted]
