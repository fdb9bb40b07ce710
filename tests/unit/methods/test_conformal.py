"""Sets against MAPIE with the same random numbers, coverage against its theory."""

import dataclasses

import numpy as np
import pytest
import torch
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import (
    APSConformityScore,
    LACConformityScore,
    RAPSConformityScore,
)
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedShuffleSplit

from tests.conftest import make_problem, make_system
from trustbench.errors import ConfigError
from trustbench.methods import conformal
from trustbench.methods.conformal import quantiles, split


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


@pytest.fixture(scope="module")
def mapie_raps(hard):
    """MAPIE chooses k_reg on some rows, and calibrates on the others; the penalty is given."""
    problem, rows = hard.problem, hard.calibration[0]

    class Given(RAPSConformityScore):
        def _find_lambda_star(self, *args, **kwargs):
            return 0.1

    classifier = SplitConformalClassifier(
        Wrapped(hard, 0),
        confidence_level=0.8,
        conformity_score=Given(),
        prefit=True,
        random_state=7,
    )
    classifier.conformalize(problem.X[rows], problem.y[rows])
    randomised = {"include_last_label": "randomized"}
    sets = classifier.predict_set(problem.rows("test")[0], conformity_score_params=randomised)[1]
    function = classifier._mapie_classifier.conformity_score_function_
    chooses = len(rows) - function.n_samples_
    parts = StratifiedShuffleSplit(n_splits=1, test_size=chooses, random_state=7)
    kept = rows[next(parts.split(problem.X[rows], problem.y[rows]))[0]]
    return function, kept, sets[:, :, 0]


def probabilities(system, X):
    return system.logits(torch.as_tensor(X))[0].double().softmax(-1)


def turned(n):
    return torch.as_tensor(1 - np.random.RandomState(7).uniform(size=n))


@pytest.mark.parametrize(("k_more", "factor"), [(0, 1.0), (1, 1.0), (-1, 1.0), (0, 0.5)])
def test_raps_threshold_and_sets_equal_mapie(hard, mapie_raps, k_more, factor):
    function, kept, expected = mapie_raps
    penalty, k_reg = factor * float(function.lambda_star), int(function.k_star[0]) + k_more
    y = torch.as_tensor(hard.problem.y[kept])
    p = probabilities(hard, hard.problem.X[kept])
    true = conformal.raps(p, turned(len(y)), penalty, k_reg).gather(1, y[:, None])[:, 0]
    threshold = float(conformal.thresholds(true[None], 0.2))
    p = probabilities(hard, hard.problem.rows("test")[0])
    sets = (conformal.raps(p, turned(len(p)), penalty, k_reg) <= threshold).numpy()
    same = threshold == pytest.approx(float(function.quantiles_[0])) and (sets == expected).all()
    assert same == ((k_more, factor) == (0, 1.0)), "a wrong penalty or rank is seen"


def saps_by_hand(p, u, weight, first_rank):
    """Rank by rank, with `first_rank` taken off the rank of the labels after the likeliest."""
    out = np.empty_like(p)
    for i, row in enumerate(p):
        for rank, label in enumerate(np.argsort(-row, kind="stable"), start=1):
            top = row.max()
            out[i, label] = u[i] * top if rank == 1 else top + (rank - first_rank + u[i]) * weight
    return out


def test_saps_scores_equal_a_loop(hard):
    p, u = probabilities(hard, hard.problem.rows("test")[0][:200]), turned(200)
    ours = conformal.saps(p, u, weight=0.2).numpy()
    np.testing.assert_allclose(ours, saps_by_hand(p.numpy(), u.numpy(), 0.2, 2), atol=1e-12)
    assert not np.allclose(ours, saps_by_hand(p.numpy(), u.numpy(), 0.2, 1))


@pytest.mark.parametrize("score", ["aps", "lac"])
def test_exactly_rank_many_calibration_rows_are_covered(hard, score):
    """One fewer with `<` in place of `<=`, one more with a rank too many."""
    own = conformal.calibration_scores(hard, conformal.SCORES[score])
    threshold = conformal.thresholds(own.true, 0.1)[:, None]
    k = conformal.rank(own.y.shape[1], 0.1)
    assert ((own.true <= threshold).sum(1) == k).all()
    assert ((own.true < threshold).sum(1) == k - 1).all()


def test_the_first_calibration_rows_keep_their_scores(hard):
    every = conformal.calibration_scores(hard, conformal.aps)
    some = conformal.calibration_scores(hard, conformal.aps, rows=50)
    torch.testing.assert_close(some.labels, every.labels[:, :50])
    with pytest.raises(ConfigError, match="give at most 300"):
        conformal.calibration_scores(hard, conformal.aps, rows=301)


def test_variation_of_coverage_is_what_is_simulated():
    rng = np.random.default_rng(0)
    threshold = conformal.thresholds(torch.as_tensor(rng.random((20000, 60))), 0.1).numpy()
    coverage = rng.binomial(150, threshold) / 150
    theory = conformal.coverage_variation(60, 150, 0.1)
    assert theory.sd == pytest.approx(coverage.std(), rel=0.02)
    assert theory.breach == pytest.approx((coverage < 0.9 - 1e-12).mean(), abs=0.012)
    assert theory.shortfall == pytest.approx(np.maximum(0, 0.9 - coverage).mean(), rel=0.04)
    assert conformal.coverage_variation(5, 150, 0.1) == (0.0, 0.0, 0.0)
    other = conformal.coverage_variation(61, 150, 0.13)
    assert abs(other.breach - (coverage < 0.87).mean()) > 0.012, "another level is told apart"


def test_thresholds_are_order_statistics_or_infinite():
    scores = torch.tensor([[0.4, 0.1, 0.3, 0.2], [4.0, 3.0, 2.0, 1.0]])
    assert conformal.thresholds(scores, 0.2).tolist() == pytest.approx([0.4, 4.0])
    assert conformal.thresholds(scores, 0.5).tolist() == pytest.approx([0.3, 3.0])
    assert conformal.thresholds(scores, 0.1).isinf().all()  # 4.5 of 4


def test_a_category_for_each_score_is_needed():
    with pytest.raises(ValueError, match="shorter"):
        quantiles.by_category(torch.ones(2, 4), torch.zeros(1, 4), 1, 0.4)


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
