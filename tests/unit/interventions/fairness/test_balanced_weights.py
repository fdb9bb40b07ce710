"""Cells weigh the same in total; the bound holds and keeps the mean."""

import dataclasses

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from tests.conftest import make_problem
from trustbench.config.arms import Protocol
from trustbench.contracts import Streams
from trustbench.interventions.fairness.balanced_weights import BalancedWeights, bounded
from trustbench.training.replicates import membership


def every(problem):
    """All rows of the pool, as a replicate's members."""
    return np.arange(len(problem.splits["train"]))


def test_every_cell_of_group_and_label_has_the_same_say(problem):
    weights = BalancedWeights().weights(problem, every(problem))
    _, y, group = problem.rows("train")
    totals = np.bincount(group * 2 + y, weights)
    np.testing.assert_allclose(totals, len(y) / 4)
    assert weights.mean() == pytest.approx(1)
    assert len(weights) == len(problem.splits["train"])


def test_groups_that_are_the_classes_give_class_balance():
    problem = make_problem(classes=4)
    y = problem.y
    problem = type(problem)(
        **{**problem.__dict__, "group": y, "groups": problem.classes, "group_name": "class"}
    )
    y = problem.rows("train")[1]
    expected = len(y) / (4 * np.bincount(y)[y])
    np.testing.assert_allclose(BalancedWeights().weights(problem, every(problem)), expected)


@pytest.mark.parametrize("bound", [1.01, 1.5, 2.5])
def test_the_bound_holds_and_the_mean_stays_one(problem, bound):
    free = BalancedWeights().weights(problem, every(problem))
    weights = BalancedWeights(max_weight=bound).weights(problem, every(problem))
    assert free.max() > 2
    assert weights.max() <= bound * (1 + 1e-9)
    assert weights.mean() == pytest.approx(1)
    assert (np.diff(weights[np.argsort(free, kind="stable")]) >= -1e-12).all()


def test_a_bound_that_binds_nobody_changes_nothing(problem):
    free = BalancedWeights().weights(problem, every(problem))
    np.testing.assert_allclose(
        BalancedWeights(max_weight=50.0).weights(problem, every(problem)), free
    )


def test_raising_the_others_may_reach_the_bound_in_turn():
    weights = bounded(np.array([0.1, 0.1, 1.3, 2.5]), 1.4)
    np.testing.assert_allclose(weights, [0.6, 0.6, 1.4, 1.4])


def test_it_needs_groups_in_training_only_and_a_bound_above_one():
    assert BalancedWeights.needs_group == "train"
    assert BalancedWeights().retrains
    with pytest.raises(ValidationError, match="greater than 1"):
        TypeAdapter(BalancedWeights).validate_python({"max_weight": 1.0})


def test_a_half_has_nearly_the_weights_that_its_own_counts_give():
    """Why counting in the pool moves no membership: halves are drawn within each cell."""
    problem = make_problem(n=2000)
    half = np.flatnonzero(membership(problem, Protocol(replicates=2), Streams(0))[0])
    from_pool = BalancedWeights().weights(problem, half)
    rows = problem.splits["train"][half]
    alone = dataclasses.replace(problem, splits={**problem.splits, "train": rows})
    own = BalancedWeights().weights(alone, every(alone))
    smallest = np.bincount(problem.group[rows] * 2 + problem.y[rows]).min()
    assert np.abs(from_pool / own - 1).max() <= 1.5 / smallest
