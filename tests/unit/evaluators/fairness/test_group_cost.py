"""The accuracy that groups lose, with planted losses."""

import dataclasses

import numpy as np
import pytest

from tests.conftest import make_problem, make_system
from trustbench.evaluators.fairness.group_cost import GroupCost


@pytest.fixture(scope="module")
def baseline():
    return dataclasses.replace(make_system(make_problem(n=1500)), baseline=None)


def spoiled(baseline, rows):
    """The baseline's system with wrong decisions on the test rows `rows`, bool [n]."""
    _, y, _ = baseline.problem.rows("test")

    def decide(X, group):
        own = baseline.logits(X).argmax(-1)
        return own.where(~baseline.tensor(rows), baseline.tensor(1 - y))

    return dataclasses.replace(baseline, decider=decide, baseline=lambda: baseline)


def values(system):
    return {m.name: m.values for m in GroupCost().measure(system).measurements}


def test_the_baseline_loses_nothing(baseline):
    found = values(baseline)
    assert all((v == 0).all() for v in found.values())


def test_the_cost_of_a_group_is_the_accuracy_it_had_and_lost(baseline):
    _, y, group = baseline.problem.rows("test")
    found = values(spoiled(baseline, group == 1))
    right = baseline.split_logits("test").argmax(-1).numpy() == y
    lost = right[:, group == 1].mean(1)
    # planted: the gap of the arm's own accuracies, which forgets the baseline's, is another number
    np.testing.assert_allclose(found["cost_gap"], lost)
    np.testing.assert_allclose(found["worst_group_cost"], lost)
    np.testing.assert_allclose(found["mean_cost"], (right & (group == 1)).mean(1))
    assert (found["cost_gap_permuted"] < lost / 3).all()


def test_a_cost_that_all_bear_is_a_cost_without_more_of_a_gap_than_chance(baseline):
    y = baseline.problem.rows("test")[1]
    rng = np.random.default_rng(0)
    found = values(spoiled(baseline, rng.random(len(y)) < 0.5))
    assert found["mean_cost"].mean() > 0.3
    assert abs(found["cost_gap"] - found["cost_gap_permuted"]).mean() < 0.1


def test_groups_that_are_too_small_are_a_reason(baseline):
    assert "min_group" in GroupCost(min_group=10**6).supports(baseline)
