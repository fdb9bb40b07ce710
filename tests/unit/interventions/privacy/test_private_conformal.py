"""The private threshold against exact probabilities, its own guarantee, and its price."""

import numpy as np
import pytest
import torch
from scipy import stats

from tests.conftest import make_problem, make_system
from trustbench.contracts import Schedule
from trustbench.contracts.guarantees import is_claim
from trustbench.interventions.privacy.private_conformal import PrivateSets
from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.methods.conformal import covered, private, set_sizes
from trustbench.methods.privacy.composition import spent

SCHEDULE = Schedule(regime="tuned", epochs=2, batch_size=32, lr=0.1)


def by_hand(scores, q, epsilon, bins, scale=0.5):
    """Probabilities of the candidates, counted one by one; `scale` 1/2 is the mechanism's."""
    rounded = [max(1, int(np.ceil(s * bins))) for s in scores]
    weight = []
    for b in range(1, bins + 1):
        below, above = sum(s < b for s in rounded), sum(s > b for s in rounded)
        worst = max(below / q, above / (1 - q))
        weight.append(np.exp(-scale * epsilon * min(q, 1 - q) * worst))
    return np.array(weight) / sum(weight)


@pytest.mark.parametrize(("scale", "same"), [(0.5, True), (1.0, False), (0.25, False)])
def test_probabilities_equal_a_count(scale, same):
    scores = np.random.default_rng(0).random(60)
    q = private.level(60, 0.3, 8.0, 0.05, 20)
    ours = np.exp(private.log_probabilities(scores, q, 8.0, 20))
    assert ours.sum() == pytest.approx(1.0)
    expected = by_hand(scores, q, 8.0, 20, scale)
    assert np.allclose(ours, expected, atol=1e-12) == same


def test_sampled_thresholds_follow_the_exact_probabilities():
    scores = np.random.default_rng(0).random(60)
    rng = np.random.default_rng(1)
    found = [private.threshold(scores, 0.3, 8.0, 0.05, 20, rng) for _ in range(4000)]
    index = np.minimum(np.array(found) * 20, 20).round().astype(int) - 1
    q = private.level(60, 0.3, 8.0, 0.05, 20)
    p = by_hand(scores, q, 8.0, 20)
    seen, often = np.bincount(index, minlength=20), 4000 * p > 5

    def p_value(expected):
        mine = np.append(seen[often], seen[~often].sum())
        theirs = np.append(expected[often], expected[~often].sum())
        return stats.chisquare(mine, 4000 * theirs).pvalue

    assert p_value(p) > 0.001
    assert p_value(by_hand(scores, q, 8.0, 20, scale=0.4)) < 1e-6, "a wrong scale is seen"


def largest_ratio(scores, epsilon, q, log_probabilities):
    """The largest log-ratio of a candidate's probability after one row is replaced."""
    before, worst = log_probabilities(scores, q, epsilon), 0.0
    for i in range(len(scores)):
        for other in (0.0, 0.31, 0.5, 0.77, 1.0):
            changed = scores.copy()
            changed[i] = other
            ratio = np.abs(log_probabilities(changed, q, epsilon) - before).max()
            worst = max(worst, ratio)
    return worst


def test_replacing_a_row_changes_no_probability_by_more_than_epsilon():
    rng = np.random.default_rng(2)

    def ours(scores, q, epsilon):
        return private.log_probabilities(scores, q, epsilon, 10)

    def unraised(scores, q, epsilon):
        """The scale min(alpha, 1 - alpha) in place of the raised level's."""
        return np.log(by_hand(scores, q, epsilon * 0.1 / (1 - q), 10))

    worst = {"ours": 0.0, "unraised": 0.0}
    for shape in (0.1, 0.3, 1.0, 3.0):
        scores, q = rng.random(40) ** shape, 0.97
        worst["ours"] = max(worst["ours"], largest_ratio(scores, 1.0, q, ours))
        worst["unraised"] = max(worst["unraised"], largest_ratio(scores, 1.0, q, unraised))
    assert 0.5 < worst["ours"] <= 1.0 + 1e-9
    assert worst["unraised"] > 1.2, "with alpha in place of 1 - q the bound is broken"


def test_coverage_is_at_least_what_is_asked():
    """400 calibration sets of uniform scores: the threshold is the coverage."""
    rng = np.random.default_rng(3)
    for epsilon in (2.0, 8.0):
        found = [
            min(1.0, private.threshold(rng.random(500), 0.1, epsilon, 0.05, 200, rng))
            for _ in range(400)
        ]
        assert np.mean(found) > 0.9
    assert np.mean(found) < 0.93


def test_too_few_rows_give_full_sets_without_reading_them():
    assert private.level(200, 0.1, 1.0, 0.05, 1000) > 1
    assert private.threshold(np.full(200, np.nan), 0.1, 1.0, 0.05, 1000, None) == np.inf


def test_scores_at_the_ends_are_counted():
    """All at 0 fill the first bin; all above 1 by rounding fill the last, which is infinite."""
    low = np.exp(private.log_probabilities(np.zeros(50), 0.9, 20.0, 10))
    assert low.argmax() == 0
    high = np.exp(private.log_probabilities(np.full(50, 1 + 1e-15), 0.9, 20.0, 10))
    assert high.argmax() == 9
    assert private.candidates(10)[-1] == np.inf


@pytest.fixture(scope="module")
def hard():
    return make_system(make_problem(n=6000, classes=5, groups=2, seed=2, shift=0.6), 3)


def of(plugin, system):
    X, y, group = system.problem.rows("test")
    sets = plugin.deploy(system).sets(torch.as_tensor(X), "lac", group)
    return set_sizes(sets).mean(), covered(sets, y).mean()


def test_less_epsilon_costs_size_and_not_coverage(hard):
    size, coverage = zip(
        *[of(p, hard) for p in (SplitConformalSets(), PrivateSets(epsilon=8.0), PrivateSets(
            epsilon=1.5))],
        strict=True,
    )  # fmt: skip
    assert size[0] < size[1] < size[2]
    assert coverage[2] > coverage[1] > 0.88


def test_the_budget_of_all_scores_is_stated_apart_from_training(hard):
    def total(**fields):
        (read,) = PrivateSets(epsilon=3.0, **fields).declares(hard.problem, SCHEDULE, 100)
        assert (read.rows, read.neighbours, read.covers) == ("calibration", "replace", "all")
        return spent([read.mechanism], read.delta)

    assert total() == (6.0, 0.0, "basic composition")
    assert total(scores=("lac",)).epsilon == 3.0
    assert not any(map(is_claim, PrivateSets(epsilon=3.0).deploy(hard).facts))


def test_the_draw_is_repeatable_and_each_replicates_own(hard):
    X, _, group = hard.problem.rows("test")
    first, again = (
        PrivateSets(epsilon=2.0).deploy(hard).sets(torch.as_tensor(X), "lac", group)
        for _ in range(2)
    )
    assert torch.equal(first, again)
