"""A short A/A: arms that differ by luck alone raise a false alarm as often as the level says.

The whole experiment, over every evaluator, is scripts/studies/aa.py.
"""

import numpy as np
import pytest
from scipy.stats import binom

from tests.conftest import make_problem, make_system
from trustbench.evaluators.fairness.fairness import Fairness
from trustbench.evaluators.uncertainty.uncertainty import Uncertainty
from trustbench.evaluators.utility import Utility
from trustbench.summary.stats.effects import ALPHA, paired_effect

pytestmark = pytest.mark.slow

REPETITIONS = 24
COLUMNS = ("auc", "train_test_gap", "acc_gap", "eo_gap", "ece", "nll")


def measured(seed, draw=0):
    """{column: values [R]} of replicates on the data of `seed`, initialised by `draw`."""
    problem = make_problem(n=400, d=4, seed=seed, shift=0.6)
    system = make_system(problem, replicates=16, hidden=8, steps=12, seed=seed, draw=draw)
    evaluators = Utility(), Fairness(min_group=5, min_cell=2), Uncertainty()
    found = [m for e in evaluators for m in e.measure(system).measurements]
    return {m.name: m.values for m in found if m.name in COLUMNS}


@pytest.fixture(scope="module")
def pairs():
    """Per repetition: a baseline, its reseed on the same halves, and an arm on other data."""
    return [(measured(s), measured(s, draw=1), measured(s + 1000)) for s in range(REPETITIONS)]


def check_rate(alarms, n, level=ALPHA):
    """The count of false alarms is one that a binomial of this level gives (1 in 10,000)."""
    low, high = binom.ppf([5e-5, 1 - 5e-5], n, level)
    assert low <= alarms <= high, f"{alarms} false alarms in {n}, allowed {low:.0f} to {high:.0f}"


def excludes_zero(differences):
    effect = paired_effect(differences)
    return effect.low > 0 or effect.high < 0


def alarms(pairs, column, difference):
    return sum(excludes_zero(difference(*(values[column] for values in p))) for p in pairs)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_reseeded_arm_raises_few_false_alarms(pairs, column):
    check_rate(alarms(pairs, column, lambda a, b, _: b - a), len(pairs))


def test_all_columns_together_hold_the_level(pairs):
    # columns of one repetition are not independent: the band is that of half as many
    total = sum(alarms(pairs, c, lambda a, b, _: b - a) for c in COLUMNS)
    check_rate(total / 2, len(pairs) * len(COLUMNS) // 2)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda a, b, _: b - a + 0.75 * (b - a).std(), id="shifted by .75 sd"),
        pytest.param(lambda a, _, c: c - a, id="unpaired: another pool"),
        pytest.param(lambda a, b, _: np.tile(b - a, 8), id="replicates counted eight times"),
    ],
)
def test_planted_errors_are_caught(pairs, wrong):
    caught = []
    for column in COLUMNS:
        try:
            check_rate(alarms(pairs, column, wrong), len(pairs))
        except AssertionError:
            caught.append(column)
    assert len(caught) >= 4, f"caught in {caught} only"
