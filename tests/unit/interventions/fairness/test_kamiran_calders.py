"""Weights against scikit-learn's; group and label independent afterwards."""

import dataclasses

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from tests.conftest import make_problem
from trustbench.contracts import Schedule
from trustbench.interventions.fairness.kamiran_calders import KamiranCalders

SCHEDULE = Schedule("tuned", epochs=1, batch_size=8, lr=0.1)


def every(problem):
    """All rows of the pool, as a replicate's members."""
    return np.arange(len(problem.splits["train"]))


def with_group(problem, group, names):
    return dataclasses.replace(problem, group=group, groups=names, group_name="class")


def sklearns(y, group, marginal=True):
    """n_g n_y / (n n_gy) out of balanced weights n / (k n_cell) of cells, groups and labels."""
    cell = group * (y.max() + 1) + y
    k = {name: len(np.unique(of)) for name, of in (("cell", cell), ("g", group), ("y", y))}
    joint = compute_sample_weight("balanced", cell) * k["cell"]
    if not marginal:  # planted error: cells of equal weight
        return joint / joint.mean()
    g, label = (compute_sample_weight("balanced", of) for of in (group, y))
    return joint / (g * k["g"] * label * k["y"])


@pytest.mark.parametrize(("classes", "groups"), [(2, 2), (3, 4)])
def test_weights_are_those_of_scikit_learn(classes, groups):
    problem = make_problem(classes=classes, groups=groups)
    _, y, group = problem.rows("train")
    weights = KamiranCalders().weights(problem, every(problem))
    np.testing.assert_allclose(weights, sklearns(y, group))
    assert weights.mean() == pytest.approx(1)
    assert np.abs(weights - sklearns(y, group, marginal=False)).max() > 0.1


def test_weighted_group_and_label_are_independent_and_keep_their_shares(problem):
    _, y, group = problem.rows("train")
    weights = KamiranCalders().weights(problem, every(problem))
    joint = np.bincount(group * 2 + y, weights).reshape(2, 2) / len(y)
    outer = np.outer(np.bincount(group), np.bincount(y)) / len(y) ** 2
    np.testing.assert_allclose(joint, outer)
    counted = np.bincount(group * 2 + y).reshape(2, 2) / len(y)
    assert np.abs(counted - outer).max() > 1e-3


def test_an_empty_cell_leaves_the_mean_at_one(problem):
    group = np.where((problem.group == 1) & (problem.y == 1), 0, problem.group)
    weights = KamiranCalders().weights(dataclasses.replace(problem, group=group), every(problem))
    assert weights.mean() == pytest.approx(1)


def test_classes_as_groups_are_refused():
    problem = make_problem(classes=3)
    problem = with_group(problem, problem.y, problem.classes)
    assert "one label only" in KamiranCalders().supports(problem, SCHEDULE)
    assert KamiranCalders().supports(make_problem(), SCHEDULE) is None
    assert KamiranCalders.needs_group == "train"
