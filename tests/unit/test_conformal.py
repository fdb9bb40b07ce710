"""Sets against MAPIE with the same random numbers, coverage against its theory."""

import dataclasses

import numpy as np
import pytest
import torch
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import APSConformityScore, LACConformityScore
from sklearn.base import BaseEstimator, ClassifierMixin

from tests.conftest import make_problem, make_system
from trustbench import conformal
from trustbench.conformal import quantiles, split


class Wrapped(ClassifierMixin, BaseEstimator):
    """One replicate as MAPIE wants a classifier."""

    def __init__(self, system=None, replicate=0):
        self.system, self.replicate = system, replicate
        self.classes_ = np.arange(len(system.problem.classes)) if system else None

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):
        logits = self.system.logits(torch.as_tensor(X))[self.replicate]
        return logits.double().softmax(-1).numpy()

    def predict(self, X):
        return self.predict_proba(X).argmax(1)


@pytest.fixture(scope="module")
def hard():
    """Five overlapping classes: sets of all sizes."""
    return make_system(make_problem(n=3000, classes=5, groups=5, seed=2, shift=0.6), 2)


def mapie_sets(system, r, score, alpha, **kwargs):
    problem, rows = system.problem, system.calibration[r]
    classifier = SplitConformalClassifier(
        Wrapped(system, r),
        confidence_level=1 - alpha,
        conformity_score=score,
        prefit=True,
        random_state=7,
    )
    classifier.conformalize(problem.X[rows], problem.y[rows])
    if kwargs:
        kwargs = {"conformity_score_params": kwargs}
    return classifier.predict_set(problem.rows("test")[0], **kwargs)[1][:, :, 0]


def our_sets(system, score, alpha):
    X, _, group = system.problem.rows("test")
    return conformal.set_predictor(system, score, alpha)(system.tensor(X), group).numpy()


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.3])
def test_lac_sets_equal_mapie(hard, alpha):
    ours = our_sets(hard, "lac", alpha)
    for r in range(2):
        assert (ours[r] == mapie_sets(hard, r, LACConformityScore(), alpha)).all()


@pytest.fixture
def shared_uniforms(monkeypatch):
    """MAPIE subtracts U p where we add U p: its draws, turned round."""

    def uniforms(system, n, use):
        draws = np.random.RandomState(7).uniform(size=n)
        return torch.as_tensor(1 - draws).expand(system.replicates, n)

    monkeypatch.setattr(split, "uniforms", uniforms)


def randomised(system, r, alpha):
    return mapie_sets(system, r, APSConformityScore(), alpha, include_last_label="randomized")


@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_aps_sets_equal_mapie_on_the_same_random_numbers(hard, alpha, shared_uniforms, monkeypatch):
    ours = our_sets(hard, "aps", alpha)
    for r in range(2):
        assert (ours[r] == randomised(hard, r, alpha)).all()
    right = split.uniforms
    monkeypatch.setattr(split, "uniforms", lambda *args: 0.99 * right(*args))
    assert (our_sets(hard, "aps", alpha)[0] != randomised(hard, 0, alpha)).any()


def test_one_rank_off_is_seen(hard, monkeypatch):
    right = quantiles.rank
    monkeypatch.setattr(quantiles, "rank", lambda n, alpha: right(n, alpha) - 1)
    assert (our_sets(hard, "lac", 0.1)[0] != mapie_sets(hard, 0, LACConformityScore(), 0.1)).any()


def test_thresholds_are_order_statistics_or_infinite():
    scores = torch.tensor([[0.4, 0.1, 0.3, 0.2], [4.0, 3.0, 2.0, 1.0]])
    assert conformal.thresholds(scores, 0.2).tolist() == pytest.approx([0.4, 4.0])
    assert conformal.thresholds(scores, 0.5).tolist() == pytest.approx([0.3, 3.0])
    assert conformal.thresholds(scores, 0.1).isinf().all()  # 4.5 of 4


@pytest.mark.parametrize("n", [9, 19, 99, 499])
def test_ranks_that_are_whole_do_not_round_up(n):
    assert conformal.rank(n, 0.1) == 9 * (n + 1) // 10
    assert conformal.rank(n, 0.3) == -(-7 * (n + 1) // 10)


def test_too_few_calibration_rows_give_the_full_set(problem):
    system = make_system(problem, 2, steps=1)
    system = dataclasses.replace(system, calibration=system.calibration[:, :5])
    assert our_sets(system, "lac", 0.1).all()
    assert conformal.coverage_band(5, 100, 0.1) == (1.0, 1.0)


def test_aps_sets_are_nested_in_order_of_probability(hard):
    sets = our_sets(hard, "aps", 0.1)
    p = hard.split_logits("test").softmax(-1).numpy()
    ranked = np.take_along_axis(sets, (-p).argsort(-1, kind="stable"), axis=-1)
    assert (ranked[..., :-1] >= ranked[..., 1:]).all()


def test_coverage_falls_into_the_beta_binomial_band():
    """2,000 calibrations on uniform scores: 95 % of coverages in the band."""
    rng = np.random.default_rng(0)
    scores = torch.as_tensor(rng.random((2000, 50)))
    threshold = conformal.thresholds(scores, 0.1).numpy()
    coverage = (rng.random((2000, 200)) <= threshold[:, None]).mean(axis=1)
    band = conformal.coverage_band(50, 200, 0.1)
    assert 0.93 <= ((band.low <= coverage) & (coverage <= band.high)).mean() <= 0.985
    assert coverage.mean() == pytest.approx(46 / 51, abs=0.004)
    narrow = conformal.coverage_band(5000, 200, 0.1)
    assert ((narrow.low <= coverage) & (coverage <= narrow.high)).mean() < 0.93


@pytest.mark.parametrize("score", ["aps", "lac"])
@pytest.mark.parametrize("alpha", [0.1, 0.4])
def test_real_sets_cover(hard, score, alpha):
    y = hard.problem.rows("test")[1]
    coverage = conformal.covered(torch.as_tensor(our_sets(hard, score, alpha)), y).mean(axis=1)
    band = conformal.coverage_band(hard.calibration.shape[1], len(y), alpha, level=0.999)
    assert ((band.low <= coverage) & (coverage <= band.high)).all()


def test_u_belongs_to_the_position_and_the_replicate(hard):
    first, longer = conformal.uniforms(hard, 10, 1), conformal.uniforms(hard, 30, 1)
    assert torch.equal(first, longer[:, :10])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, conformal.uniforms(hard, 10, 0))
    fewer = dataclasses.replace(hard, replicates=1)
    assert torch.equal(conformal.uniforms(fewer, 10, 1), first[:1])


def test_rows_given_per_replicate_get_the_same_sets(hard):
    X = hard.tensor(hard.problem.rows("test")[0][:50])
    predict = conformal.set_predictor(hard, "aps", 0.1)
    group = np.zeros(50, dtype=np.int64)
    assert torch.equal(predict(X, group), predict(X.expand(2, *X.shape), group))


def test_covered_and_sizes_by_hand():
    sets = torch.tensor([[[True, False, True], [False, False, False]]])
    assert conformal.covered(sets, np.array([2, 0])).tolist() == [[1.0, 0.0]]
    assert conformal.set_sizes(sets).tolist() == [[2.0, 0.0]]
