"""Robust accuracy: the exact answer of linear replicates, ordering, and masking flags."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.evaluators.robustness.robustness import Robustness
from trustbench.methods.attacks.evasion.targets import targets

QUICK = Robustness(steps=10, queries=60, points=100, min_group=10, epsilon=0.3)


def named(measured):
    return {m.name: m.values for m in measured.measurements}


@pytest.fixture(scope="module")
def measured(system):
    return QUICK.measure(dataclasses.replace(system, baseline=lambda: system))


def test_the_worst_case_is_no_better_than_any_part(measured, system):
    v = named(measured)
    assert measured.measurements[0].name == "racc"
    parts = np.stack([v["racc_pgd"], v["racc_square"], v["racc_transfer"]])
    assert (v["racc"] <= parts.min(0)).all()
    assert (parts <= v["acc"]).all()
    assert (v["racc"] < v["acc"]).any()
    np.testing.assert_allclose(v["racc_cond"], v["racc"] / v["acc"])
    np.testing.assert_allclose(measured.arrays["robust"].mean(1), v["racc"])
    assert (v["worst_group_racc"] <= v["racc"] + 1e-12).all()
    assert (v["racc_gap"] >= 0).all()
    assert (v["racc_half"] >= v["racc_double"]).all()
    assert (v["racc_box"] <= 0.5).all()
    assert (v["masking"] == 0).all()
    at = targets(system, 100)
    expected = (system.forward(at.X).argmax(-1) == at.y).double().mean(1)
    np.testing.assert_allclose(v["acc"], expected)


def test_linear_replicates_have_the_robust_accuracy_of_the_closed_form(problem, system):
    g = torch.Generator().manual_seed(0)
    W = torch.randn(4, 6, 2, generator=g)

    def forward(x):
        return torch.bmm(x.expand(4, *x.shape[-2:]), W)

    linear = dataclasses.replace(system, forward=forward)
    v = named(QUICK.measure(linear))
    at = targets(linear, 100)
    logits = forward(at.X)
    true, other = W[:, :, at.y], W[:, :, 1 - at.y]  # [R, d, n]
    slope = (other - true).transpose(1, 2)
    low = torch.maximum(at.X - 0.3, torch.tensor(problem.per_column("lower")).minimum(at.X))
    high = torch.minimum(at.X + 0.3, torch.tensor(problem.per_column("upper")).maximum(at.X))
    y = at.y.expand(4, -1).unsqueeze(-1)
    margin = (logits.gather(-1, 1 - y) - logits.gather(-1, y)).squeeze(-1)
    worst = margin + torch.maximum(slope * (low - at.X), slope * (high - at.X)).sum(-1)
    np.testing.assert_allclose(v["racc"], (worst < 0).double().mean(1), atol=1e-12)
    # planted error: a radius 10 % too small is another number
    small = margin + 0.9 * (worst - margin)
    assert not np.allclose(v["racc"], (small < 0).double().mean(1), atol=1e-12)


def test_the_baseline_meets_the_same_four_attacks_as_every_other_arm(system, measured):
    """A control that shares the baseline's replicates must not look less robust than it."""
    alone = named(QUICK.measure(dataclasses.replace(system, baseline=None)))
    beside = named(measured)
    for name in beside:
        np.testing.assert_array_equal(alone[name], beside[name])
    # Points come from the partner, not from the replicate itself: they transfer imperfectly.
    assert (beside["racc_transfer"] > beside["racc_pgd"]).all()


def test_transfer_from_a_twin_counts_where_gradients_are_masked(system):
    """A staircase in front of the model hides its gradient; Square and transfer see through."""

    def masked(x):
        return system.forward(torch.round(x * 100) / 100)

    v = named(QUICK.measure(dataclasses.replace(system, forward=masked, baseline=lambda: system)))
    assert (v["zero_gradient"] == 1).all()
    assert (v["masking"] == 1).all()
    assert (v["racc_transfer"] < v["racc_pgd"]).any()
    assert (v["square_only"] > 0).any()
    open_ = named(QUICK.measure(system))
    assert np.abs(v["racc"] - open_["racc"]).max() < 0.05  # the worst case is not fooled


def test_vanishing_cross_entropy_is_not_masking(system):
    """Logits times a thousand: cross-entropy has no gradient left, the margin attack has."""
    v = named(
        QUICK.measure(dataclasses.replace(system, forward=lambda x: 1000 * system.forward(x)))
    )
    plain = named(QUICK.measure(system))
    np.testing.assert_allclose(v["racc"], plain["racc"], atol=0.011)
    assert (v["masking"] == 0).all()


def test_same_numbers_twice_and_for_fewer_replicates(system):
    a = named(QUICK.measure(system))
    b = named(QUICK.measure(system))
    assert all(np.array_equal(a[k], b[k]) for k in a)
    few = dataclasses.replace(
        system,
        replicates=2,
        membership=system.membership[:2],
        forward=lambda x: system.forward(torch.cat([x, x]) if x.ndim == 3 else x)[:2],
        baseline=None,
    )
    c = named(QUICK.measure(few))
    assert all(np.allclose(a[k][:2], c[k]) for k in a)


def test_the_attacked_points_are_nested_and_the_same_for_all(system):
    small, large = targets(system, 20), targets(system, 50)
    assert torch.equal(small.X, large.X[:, :20])
    assert torch.equal(large.X[0], large.X[1])
    assert targets(system, 10_000).X.shape[1] == len(system.problem.splits["test"])


def test_small_groups_are_left_out_with_a_reason(system):
    measured = dataclasses.replace(QUICK, min_group=60).measure(system)
    assert "needs two groups with 60 points" in measured.missing["racc_gap"]
    assert "worst_group_racc" not in named(measured)


def test_images_and_five_classes(multiclass_system):
    v = named(QUICK.measure(multiclass_system))
    assert (v["racc"] <= v["acc"]).all()
    problem = make_problem(n=400, d=16)
    object.__setattr__(problem, "X", problem.X.reshape(-1, 1, 4, 4))
    v = named(QUICK.measure(make_system(problem, replicates=2, steps=40)))
    assert (v["racc_square"] < v["acc"]).all()


def test_frozen_columns_leave_nothing_to_attack(system):
    features = tuple(dataclasses.replace(f, scale=0.0) for f in system.problem.features)
    frozen = dataclasses.replace(
        system, problem=dataclasses.replace(system.problem, features=features)
    )
    assert "no column of toy may be perturbed" in (Robustness().supports(frozen) or "")
    assert Robustness().supports(system) is None
