"""Fidelity gaps of explanations that are true, false, or true for one group only."""

import dataclasses

import numpy as np
import pytest
import torch

from trustbench.evaluators.fairness.fidelity_gap import FidelityGap
from trustbench.interventions.explainability.lime import LimeRelease

FEW = {"points": 40, "samples": 100, "permutations": 50}


def named(measured):
    return {m.name: m.values for m in measured.measurements}


@pytest.fixture
def two_worlds(system):
    """(system, weights): the margin is linear in x1.. where x0 < 5, rippled where x0 > 5.

    The groups live in these half-spaces: x0 is 0 for group 0 and 10 for group 1.
    """
    problem = system.problem
    X = problem.X.copy()
    X[:, 0] = 10 * problem.group
    weights = torch.tensor([0.0, 1.0, -1.0, 2.0, 0.5, 0.0])

    def forward(X):
        ripples = (25 * X[..., 1:]).sin().sum(-1)
        margin = torch.where(X[..., 0] < 5, X @ weights, ripples)
        margin = margin.expand(2, *X.shape[-2:-1])
        return torch.stack([torch.zeros_like(margin), margin], dim=-1)

    problem = dataclasses.replace(problem, X=X)
    return dataclasses.replace(system, problem=problem, forward=forward, replicates=2), weights


def test_the_group_without_a_plane_is_the_worst_served(two_worlds):
    system, _ = two_worlds
    released = LimeRelease(samples=300).deploy(system)
    measured = FidelityGap(**FEW).measure(released)
    found = named(measured)
    assert list(found) == ["gap", "gap_permuted", "fidelity"]
    share = (released.problem.rows("test")[2] == 0).mean()
    # Fidelity about 1 and about 0: everybody's is the share of group 0, and so is the gap.
    np.testing.assert_allclose(found["gap"], share, atol=0.1)
    np.testing.assert_allclose(found["fidelity"], share, atol=0.1)
    assert (found["gap_permuted"] < 0.25).all()
    assert measured.facts["points"] == 40


def test_explanations_true_for_all_have_no_gap(two_worlds):
    system, weights = two_worlds

    def forward(X):
        margin = (X @ weights).expand(2, *X.shape[-2:-1])
        return torch.stack([torch.zeros_like(margin), margin], dim=-1)

    system = dataclasses.replace(system, forward=forward)

    def truth(X, repeat=0):
        sign = torch.where(system.logits(X).argmax(-1) == 1, 1.0, -1.0)
        return sign[..., None] * weights

    found = named(FidelityGap(**FEW).measure(dataclasses.replace(system, explainer=truth)))
    np.testing.assert_allclose(found["gap"], 0, atol=1e-6)
    np.testing.assert_allclose(found["fidelity"], 1, atol=1e-6)

    def lies_to_one_group(X, repeat):
        return truth(X) * torch.where(X[..., :1] > 5, 0.0, 1.0)

    lying = dataclasses.replace(system, explainer=lies_to_one_group)
    found = named(FidelityGap(**FEW).measure(lying))
    assert (found["gap"] > 0.5).all()
    assert (found["gap"] > 2 * found["gap_permuted"]).all()


def test_equal_fidelity_is_at_its_null(multiclass_system):
    """Random groups: the gap is above 0, and its null as far."""
    system = LimeRelease(samples=100).deploy(multiclass_system)
    group = np.random.default_rng(0).integers(5, size=len(system.problem.y))
    problem = dataclasses.replace(system.problem, group=group)
    found = named(
        FidelityGap(points=100, samples=100).measure(dataclasses.replace(system, problem=problem))
    )
    assert (found["gap_permuted"] > 0.003).all()
    assert (found["gap"] < 3 * found["gap_permuted"]).all()


def test_replicates_do_not_depend_on_each_other(two_worlds):
    system, _ = two_worlds
    flat = torch.tensor([0.0, 1.0])[:, None, None, None]

    def forward(X):  # the second replicate as before, the first constant
        return system.forward(X) * flat[..., 0]

    both = LimeRelease(samples=100).deploy(system)
    half = LimeRelease(samples=100).deploy(dataclasses.replace(system, forward=forward))
    measured = FidelityGap(**FEW).measure(half)
    assert measured.missing["gap"] == (
        "the explained output is constant around every row of some group"
    )
    np.testing.assert_allclose(
        measured.arrays["r2"][1], FidelityGap(**FEW).measure(both).arrays["r2"][1]
    )


def test_rows_are_drawn_evenly_from_the_largest_groups(multiclass_system):
    system = LimeRelease(samples=50).deploy(multiclass_system)
    measured = FidelityGap(points=30, max_groups=3, samples=50).measure(system)
    group = system.problem.rows("test")[2]
    drawn = np.bincount(group[measured.arrays["rows"]], minlength=5)
    assert sorted(drawn) == [0, 0, 10, 10, 10]
    assert set(np.flatnonzero(drawn)) == set(np.argsort(-np.bincount(group), kind="stable")[:3])
    assert len(measured.facts["left_out"].split(", ")) == 2


def test_it_needs_explanations_and_two_groups(system):
    assert FidelityGap().supports(system) == "needs released explanations (intervention=lime)"
    released = LimeRelease().deploy(system)
    assert FidelityGap().supports(released) is None
    assert FidelityGap(min_group=999).supports(released) == "needs 2 groups of 999 test rows"
