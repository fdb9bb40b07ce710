"""Sizes of studies and p values against scipy, at few replicates and at the limits."""

import math

import numpy as np
import pytest
from scipy import stats

from trustbench.summary.stats.effects import (
    LARGEST_N,
    Aim,
    Kind,
    Verdict,
    paired_effect,
    required_n_text,
    smallest_n,
    tost_p,
)


@pytest.mark.parametrize(("level", "power"), [(0.05, 0.8), (0.01, 0.95)])
def test_the_smallest_n_is_the_first_that_is_enough(level, power):
    """Over many distances a degree of freedom more or less shows."""
    n = np.arange(2, 200)
    t = stats.t(n - 1)
    least = (t.ppf(1 - level) + t.ppf(power)) * 0.7 / np.sqrt(n)
    for distance in np.linspace(0.5, 8, 300).tolist():
        assert smallest_n(0.7, Aim(distance, level, power)) == n[least <= distance][0]


def test_what_does_not_vary_needs_two():
    assert smallest_n(0.0, Aim(0.0, 0.05, 0.8)) == 2


@pytest.mark.parametrize("n", [2, 3, 8])
def test_the_p_value_of_equivalence_is_the_larger_of_two_t_tests(n):
    d = np.random.default_rng(n).normal(0.1, 0.3, n)
    below = stats.ttest_1samp(d, -0.4, alternative="greater").pvalue
    above = stats.ttest_1samp(d, 0.4, alternative="less").pvalue
    assert tost_p(paired_effect(d), 0.4) == pytest.approx(max(below, above), rel=1e-9)


def test_a_study_beyond_reach_is_told_from_one_that_no_size_completes():
    """A shared error of 0.1 leaves 0.2802 detectable by very many, and 0.2 by none."""
    effect = paired_effect(np.array([-50.0, 50.0] * 8), common_sd=0.1)
    limit = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * 0.1
    far, never = Aim(1.0002 * limit, 0.025, 0.8), Aim(0.2, 0.025, 0.8)
    assert required_n_text(effect, [far]) == f"n > {LARGEST_N}"
    assert required_n_text(effect, [far, never]) == f"n > {LARGEST_N}"
    assert required_n_text(effect, [never]) == "more points or pools: no n is enough"


def test_two_differences_are_enough_and_one_pool_is_no_pool():
    d = np.array([0.25, 0.75])
    assert (paired_effect(d).effect, paired_effect(d).n) == (0.5, 2)
    assert paired_effect(d, np.array([3, 3])) == paired_effect(d)


def test_no_effect_is_minus_zero():
    assert math.copysign(1, paired_effect(np.full(3, -0.0)).effect) == 1


def test_effects_and_verdicts_are_values():
    plain = Verdict(Kind.INCONCLUSIVE, "needs n = 3")
    assert plain.sentence == plain.text
    assert not (plain.unchanged or plain.by_chance or plain.needs)
    effect = paired_effect(np.array([0.0, 1.0]))
    assert len({plain, Verdict(Kind.INCONCLUSIVE, "needs n = 3"), effect, effect}) == 2
