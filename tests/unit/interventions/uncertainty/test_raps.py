"""RAPS as released: scores are tested against MAPIE in tests/unit/test_conformal.py."""

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.contracts import Schedule
from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.interventions.uncertainty.raps import RegularisedSets
from trustbench.methods.conformal import covered, set_sizes

SCHEDULE = Schedule(regime="tuned", epochs=1, batch_size=32, lr=0.1)


@pytest.fixture(scope="module")
def hard():
    return make_system(make_problem(n=4000, classes=8, groups=2, seed=2, shift=0.5), 2)


def sizes_and_coverage(plugin, system, score):
    X, y, group = system.problem.rows("test")
    sets = plugin.deploy(system).sets(torch.as_tensor(X), score, group)
    return set_sizes(sets), covered(sets, y).mean(axis=1)


def test_large_sets_become_rarer_and_coverage_stays(hard):
    plain, _ = sizes_and_coverage(SplitConformalSets(), hard, "aps")
    size, coverage = sizes_and_coverage(RegularisedSets(penalty=0.1, k_reg=3), hard, "raps")
    assert size.std() < 0.8 * plain.std()
    assert (np.abs(coverage - 0.9) < 0.05).all()


def test_without_a_rank_to_penalise_it_is_not_applicable(hard):
    assert RegularisedSets(k_reg=7).supports(hard.problem, SCHEDULE) is None
    reason = RegularisedSets(k_reg=8).supports(hard.problem, SCHEDULE)
    assert reason == "k_reg=8 penalises no rank of 8 classes"
    assert "calibration rows" in RegularisedSets(rows=10**6).supports(hard.problem, SCHEDULE)


def test_the_penalty_and_the_rank_reach_the_sets(hard):
    sizes = [
        sizes_and_coverage(RegularisedSets(penalty=p, k_reg=k), hard, "raps")[0]
        for p, k in ((0.1, 3), (1.0, 3), (0.1, 6))
    ]
    assert not np.array_equal(sizes[0], sizes[1])
    assert not np.array_equal(sizes[0], sizes[2])
