"""Where an interval lies decides, as rarely wrong as documented."""

from types import SimpleNamespace

import numpy as np
import pytest

from trustbench.summary.decide.decisions import Outcome, decide, digits, needed, worst
from trustbench.summary.decide.policy import Bound
from trustbench.summary.stats.effects import LARGEST_N, paired_effect


def effect(low, high):
    return SimpleNamespace(low=low, high=high)


@pytest.mark.parametrize(
    ("kind", "low", "high", "outcome"),
    [
        ("at_most", 0.1, 0.2, "pass"),
        ("at_most", 0.2, 0.3, "inconclusive"),
        ("at_most", 0.21, 0.3, "violated"),
        ("worse_by_at_most", -0.3, 0.2, "pass"),
        ("worse_by_at_most", 0.21, 0.3, "violated"),
        ("at_least", 0.2, 0.3, "pass"),
        ("at_least", 0.1, 0.2, "inconclusive"),
        ("at_least", 0.1, 0.19, "violated"),
    ],
)
def test_where_an_interval_lies_decides(kind, low, high, outcome):
    assert decide(effect(low, high), Bound(kind, 0.2)) == outcome


def test_an_arm_exactly_at_its_limit_passes_and_fails_as_rarely_as_documented():
    rng = np.random.default_rng(0)
    draws = rng.normal(0.2, 0.05, size=(4000, 10))
    found = [decide(paired_effect(d), Bound("at_most", 0.2)) for d in draws]
    for outcome in (Outcome.PASS, Outcome.VIOLATED):
        assert found.count(outcome) / 4000 == pytest.approx(0.025, abs=0.008)


def test_what_no_number_of_replicates_decides():
    d = np.array([0.1, 0.3, 0.2, 0.2])
    assert needed(paired_effect(d), 0.2) == f"n > {LARGEST_N}"
    assert needed(paired_effect(d, np.array([0, 1, 2, 3])), 0.2) == f"pools > {LARGEST_N}"
    assert needed(paired_effect(d, common_sd=0.1), 0.21) == "more points or pools: no n is enough"
    assert needed(paired_effect(d), 0.0) == "n = 5"


def test_decimals_show_on_which_side_an_interval_ends():
    d = SimpleNamespace(low=0.1, high=0.20004)
    assert digits(d, 0.2) == 5
    assert f"{d.high:.5f}" > "0.2"
    assert digits(SimpleNamespace(low=0.1, high=0.25), 0.2) == 3
    assert digits(d, None) == 3


def test_the_worst_outcome_is_that_of_the_whole():
    p, v, i = Outcome.PASS, Outcome.VIOLATED, Outcome.INCONCLUSIVE
    assert [worst(x) for x in ([], [p], [p, i], [i, v, p])] == [p, p, i, v]
