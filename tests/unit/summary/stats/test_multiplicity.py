from itertools import combinations

import numpy as np
import pytest

from trustbench.summary.stats.multiplicity import benjamini_hochberg, holm


def closed_bonferroni(p):
    """Holm by its definition: the closed test of all intersections by Bonferroni."""
    m, out = len(p), []
    for i in range(m):
        worst = 0.0
        for size in range(1, m + 1):
            for subset in combinations(range(m), size):
                if i in subset:
                    worst = max(worst, min(1.0, size * min(p[j] for j in subset)))
        out.append(worst)
    return out


def step_up(p):
    """Benjamini-Hochberg by its definition: the smallest level at which each is rejected."""
    m, ordered = len(p), sorted(p)
    return [min(1.0, *(q * m / (k + 1) for k, q in enumerate(ordered) if q >= x)) for x in p]


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_bonferroni_test(seed):
    p = (np.random.default_rng(seed).random(7) ** 3).tolist()
    assert holm(p) == pytest.approx(closed_bonferroni(p))


@pytest.mark.parametrize("seed", range(5))
def test_benjamini_hochberg_is_the_step_up_rule(seed):
    p = (np.random.default_rng(seed).random(9) ** 3).tolist()
    assert benjamini_hochberg(p) == pytest.approx(step_up(p))


def test_ties_zeros_and_nothing():
    assert holm([0.0, 0.0, 1.0]) == [0.0, 0.0, 1.0]
    assert holm([0.02, 0.02]) == [0.04, 0.04]
    assert benjamini_hochberg([0.02, 0.02]) == [0.02, 0.02]
    assert holm([]) == []
    assert benjamini_hochberg([]) == []


def test_hand_computed():
    assert holm([0.005, 0.011, 0.02, 0.04, 0.13]) == pytest.approx([0.025, 0.044, 0.06, 0.08, 0.13])
    assert benjamini_hochberg([0.005, 0.011, 0.02, 0.04, 0.13]) == pytest.approx(
        [0.025, 0.0275, 0.1 / 3, 0.05, 0.13]
    )
