"""Decisions against fairlearn's own ThresholdOptimizer, and what they do to the gaps."""

import dataclasses

import numpy as np
import pytest
import torch
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator, ClassifierMixin

from tests.conftest import make_problem, make_system
from trustbench.contracts import Schedule
from trustbench.errors import Unsupported
from trustbench.interventions.fairness.threshold_postprocessing import COIN, ThresholdPostprocessing

SCHEDULE = Schedule("tuned", epochs=1, batch_size=8, lr=0.1)


class Replicate(ClassifierMixin, BaseEstimator):
    """One replicate as a fitted scikit-learn classifier: fairlearn's usual way in."""

    def __init__(self, system, r):
        self.system, self.r = system, r
        self.classes_ = np.array([0, 1])

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        logits = self.system.logits(torch.as_tensor(np.asarray(X, dtype=np.float32)))
        return logits[self.r].double().softmax(-1).numpy()


@pytest.fixture(scope="module")
def biased():
    """Three groups; the positives of the last look like negatives."""
    problem = make_problem(n=3000, groups=3, shift=0.7, seed=2)
    X = problem.X.copy()
    X[problem.group == 2] -= 0.8 * (X[problem.y == 1].mean(0) - X[problem.y == 0].mean(0))
    return make_system(dataclasses.replace(problem, X=X), 2)


def theirs(system, r, X, group, coin, constraint, *, rows=None, maximise="accuracy_score"):
    """fairlearn's probabilities against the same coin; the rest of the arguments plant errors."""
    problem, rows = system.problem, system.calibration[r] if rows is None else rows
    X_fit, y_fit, g_fit = problem.X[rows], problem.y[rows], problem.group[rows]
    optimizer = ThresholdOptimizer(
        estimator=Replicate(system, r),
        constraints=constraint,
        objective=maximise,
        prefit=True,
        predict_method="predict_proba",
    ).fit(X_fit, y_fit, sensitive_features=g_fit)
    return optimizer._pmf_predict(X, sensitive_features=group)[:, 1] >= coin


@pytest.mark.parametrize(
    "constraint", ["equalized_odds", "demographic_parity", "true_positive_rate_parity"]
)
def test_decisions_are_those_of_fairlearn(biased, constraint):
    X, _, group = biased.problem.rows("test")
    splits = biased.problem.splits
    deployed = ThresholdPostprocessing(constraint).deploy(biased)
    ours = deployed.decide(torch.as_tensor(X), group).numpy()
    coin = biased.streams.numpy("controls", COIN).random(len(X))
    assert ours.dtype == np.int64
    for r in range(2):
        np.testing.assert_array_equal(ours[r], theirs(biased, r, X, group, coin, constraint))
        wrong = [  # planted errors
            theirs(biased, 1 - r, X, group, coin, constraint),
            theirs(biased, r, X, group, coin, constraint, rows=biased.calibration[1 - r]),
            theirs(biased, r, X, group, coin, constraint, rows=splits["calibration"]),
            theirs(biased, r, X, group, coin, constraint, rows=splits["validation"]),
            theirs(biased, r, X, (group + 1) % 3, coin, constraint),
            theirs(biased, r, X, group, 1 - coin, constraint),
        ]
        assert all((ours[r] != other).mean() > 0.01 for other in wrong)


def test_what_is_maximised_is_passed_on(biased):
    X, _, group = biased.problem.rows("test")
    rare = np.where(np.random.default_rng(0).random(len(biased.problem.y)) < 0.6, 0, 1)
    rare = biased.problem.y * rare  # with classes of one size both objectives agree
    system = dataclasses.replace(biased, problem=dataclasses.replace(biased.problem, y=rare))
    coin = system.streams.numpy("controls", COIN).random(len(X))
    plugin = ThresholdPostprocessing("demographic_parity", "balanced_accuracy_score")
    ours = plugin.deploy(system).decide(torch.as_tensor(X), group)[0].numpy()
    given = (system, 0, X, group, coin, "demographic_parity")
    np.testing.assert_array_equal(ours, theirs(*given, maximise="balanced_accuracy_score"))
    assert (ours != theirs(*given)).mean() > 0.1


@pytest.mark.parametrize(
    ("constraint", "metric"),
    [
        ("equalized_odds", equalized_odds_difference),
        ("demographic_parity", demographic_parity_difference),
    ],
)
def test_the_gap_falls_on_the_rows_it_is_fitted_on_and_on_test(biased, constraint, metric):
    deployed, problem = ThresholdPostprocessing(constraint).deploy(biased), biased.problem
    for r, own in enumerate(biased.calibration):
        for rows, bound in ((own, 0.5), (problem.splits["test"], 0.75)):
            X, y, group = problem.X[rows], problem.y[rows], problem.group[rows]
            raw, fair = (
                metric(y, s.decide(s.tensor(X), group)[r].numpy(), sensitive_features=group)
                for s in (biased, deployed)
            )
            assert fair < bound * raw


def test_replicates_that_are_equal_decide_apart_by_the_rows_they_draw(biased):
    twins = dataclasses.replace(biased, forward=lambda X: biased.forward(X)[:1].expand(2, -1, -1))
    X, _, group = biased.problem.rows("test")
    plugin = ThresholdPostprocessing("demographic_parity")
    own = plugin.deploy(twins).decide(torch.as_tensor(X), group)
    assert 0.01 < (own[0] != own[1]).double().mean() < 0.3
    shared = dataclasses.replace(twins, calibration=twins.calibration[[0, 0]])
    alike = plugin.deploy(shared).decide(torch.as_tensor(X), group)
    assert torch.equal(alike[0], alike[1])
    assert torch.equal(alike[0], own[0])


def test_the_same_query_gets_the_same_answer_and_the_rest_is_untouched(biased):
    deployed = ThresholdPostprocessing().deploy(biased)
    X, _, group = biased.problem.rows("test")
    X = torch.as_tensor(X)
    first = deployed.decide(X, group)
    assert torch.equal(first, deployed.decide(X, group))
    assert torch.equal(first[:, :50], deployed.decide(X[:50], group[:50]))
    assert torch.equal(first, deployed.decide(X.expand(2, *X.shape), group))
    assert deployed.forward is biased.forward
    assert biased.decider is None


def test_what_cannot_be_thresholded_has_a_reason(problem):
    plugin = ThresholdPostprocessing()
    assert plugin.supports(problem, SCHEDULE) is None
    assert plugin.needs_group == "predict"
    assert not plugin.retrains
    assert "this task has 3" in plugin.supports(make_problem(classes=3), SCHEDULE)
    y = np.where(problem.group == 1, 0, problem.y)
    lacking = dataclasses.replace(problem, y=y)
    assert "group g1 (g) has no calibration row" in plugin.supports(lacking, SCHEDULE)


def test_a_replicate_whose_rows_lack_a_class_is_a_reason(system):
    problem, rows = system.problem, system.calibration.copy()
    kept = rows[2][(problem.group[rows[2]] == 0) | (problem.y[rows[2]] == 0)]
    rows[2] = np.resize(kept, rows.shape[1])
    with pytest.raises(
        Unsupported, match=r"group g1 \(g\) has no row of one class .* replicate 2;"
    ):
        ThresholdPostprocessing().deploy(dataclasses.replace(system, calibration=rows))
