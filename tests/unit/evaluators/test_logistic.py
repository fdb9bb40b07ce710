"""The plain logistic regression beside each replicate, against scikit-learn by hand."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from trustbench.evaluators import _logistic
from trustbench.evaluators._logistic import reference


def by_hand(system, rows):
    X, y, _ = system.problem.rows("train")
    X_test, y_test, _ = system.problem.rows("test")
    scale = StandardScaler().fit(X[rows].astype(float))
    fit = LogisticRegression(max_iter=200).fit(scale.transform(X[rows].astype(float)), y[rows])
    told = fit.predict(scale.transform(X_test.astype(float)))
    return (
        accuracy_score(y_test, told),
        balanced_accuracy_score(y_test, told),
        fit.score(scale.transform(X[rows].astype(float)), y[rows]),
    )


def test_each_replicate_has_the_regression_of_its_own_rows(system):
    found = reference(system)
    for r, inside in enumerate(system.membership):
        own = tuple(values[r] for values in found)
        assert own == pytest.approx(by_hand(system, np.flatnonzero(inside)))
    assert len(set(found.member_accuracy)) > 1


def test_a_fit_has_a_limited_number_of_rows_which_all_arms_share(system, monkeypatch):
    monkeypatch.setattr(_logistic, "ROWS", 30)
    fitted = []
    plain = _logistic._predictions

    def spied(X, y, *wanted):
        fitted.append(X)
        return plain(X, y, *wanted)

    monkeypatch.setattr(_logistic, "_predictions", spied)
    first, again = reference(system), reference(dataclasses.replace(system, facts={"arm": "other"}))
    assert {len(X) for X in fitted} == {30}
    np.testing.assert_array_equal(first, again)


def test_replicates_of_the_whole_pool_share_one_fit(system, monkeypatch):
    calls = []
    plain = _logistic._fit
    monkeypatch.setattr(_logistic, "_fit", lambda *a: calls.append(a) or plain(*a))
    whole = dataclasses.replace(system, membership=np.ones_like(system.membership))
    assert len(set(reference(whole).accuracy)) == 1
    assert len(calls) == 1


def test_a_half_of_one_class_predicts_it(system):
    y = system.problem.rows("train")[1]
    ones = dataclasses.replace(system, membership=np.tile(y == 1, (system.replicates, 1)))
    found = reference(ones)
    np.testing.assert_allclose(found.accuracy, (system.problem.rows("test")[1] == 1).mean())
    np.testing.assert_allclose(found.balanced_accuracy, 0.5)
    np.testing.assert_allclose(found.member_accuracy, 1.0)
