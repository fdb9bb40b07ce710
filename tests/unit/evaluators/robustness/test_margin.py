"""Distances to the boundary: exact for linear replicates, by group and class, and censored."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.unit.evaluators.robustness.test_robustness import named
from trustbench.evaluators.robustness.margin import Margin
from trustbench.methods.attacks.evasion.targets import targets

GRID = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
QUICK = Margin(grid=GRID, steps=20, points=100, bisections=5)


@pytest.fixture(scope="module")
def linear(system):
    """Replicates without a hidden layer, in a box so wide that it cuts nothing."""
    W = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(0))
    features = tuple(
        dataclasses.replace(f, lower=-99.0, upper=99.0) for f in system.problem.features
    )
    problem = dataclasses.replace(system.problem, features=features)
    linear = dataclasses.replace(
        system, problem=problem, forward=lambda x: torch.bmm(x.expand(4, *x.shape[-2:]), W)
    )
    return linear, W


def exact(linear, W):
    """(distance [R, n] in linf, correct [R, n]) of the attacked points."""
    at = targets(linear, 100)
    logits = linear.forward(at.X)
    true = at.y.expand(4, -1).unsqueeze(-1)
    lead = (logits.gather(-1, true) - logits.gather(-1, 1 - true)).squeeze(-1)
    rate = (W[:, :, 0] - W[:, :, 1]).abs().sum(1)[:, None]
    return (lead / rate).numpy(), (lead > 0).numpy(), at


def test_linear_replicates_have_the_mean_and_median_of_the_closed_form(linear):
    system, W = linear
    distance, correct, at = exact(system, W)
    measured = QUICK.measure(system)
    v = named(measured)
    assert measured.measurements[0].name == "mean_epsilon"
    censored = np.where(distance > 0.5, 1.25 * 0.5, distance)
    mean = [d[c].mean() for d, c in zip(censored, correct, strict=True)]
    # radii are tried ones: above the truth by at most the last interval, .2 / 2^5
    assert (v["mean_epsilon"] >= np.array(mean) - 1e-6).all()
    np.testing.assert_allclose(v["mean_epsilon"], mean, atol=0.2 / 2**5)
    median = [np.median(d[c]) for d, c in zip(censored, correct, strict=True)]
    np.testing.assert_allclose(v["median_epsilon"], median, atol=0.2 / 2**5)
    share = [(d[c] > 0.5).mean() for d, c in zip(distance, correct, strict=True)]
    np.testing.assert_allclose(v["censored"], share)
    np.testing.assert_allclose(
        v["mean_epsilon_all"], v["mean_epsilon"] * correct.mean(1), atol=1e-12
    )
    by_group = np.stack(
        [
            [d[c & (at.group == g)].mean() for d, c in zip(censored, correct, strict=True)]
            for g in (0, 1)
        ]
    )
    np.testing.assert_allclose(v["epsilon_worst_group"], by_group.min(0), atol=0.2 / 2**5)
    np.testing.assert_allclose(
        v["epsilon_gap"], by_group.max(0) - by_group.min(0), atol=2 * 0.2 / 2**5
    )
    # planted errors: no censoring, and a mean over wrong rows as well
    assert not np.allclose(
        [d[c].mean() for d, c in zip(distance, correct, strict=True)], mean, atol=0.2 / 2**5
    )
    assert not np.allclose(v["mean_epsilon_all"], mean, atol=0.2 / 2**5)


def test_scaling_inputs_down_moves_the_boundary_away(linear):
    system, _ = linear
    near = named(QUICK.measure(system))
    steep = dataclasses.replace(system, forward=lambda x: 9 * system.forward(x))
    np.testing.assert_array_equal(named(QUICK.measure(steep))["mean_epsilon"], near["mean_epsilon"])
    features = tuple(dataclasses.replace(f, scale=0.5) for f in system.problem.features)
    half = dataclasses.replace(
        system, problem=dataclasses.replace(system.problem, features=features)
    )
    far = named(QUICK.measure(half))
    assert (far["mean_epsilon"] > near["mean_epsilon"]).all()


def test_l2_and_several_classes(multiclass_system):
    v = named(dataclasses.replace(QUICK, norm="l2").measure(multiclass_system))
    linf = named(QUICK.measure(multiclass_system))
    assert (v["mean_epsilon"] > linf["mean_epsilon"]).all()  # a ball inside the linf one
    assert (v["epsilon_class_gap"] >= 0).all()


def test_groups_and_replicates_without_correct_points_are_reasons(system):
    few = dataclasses.replace(QUICK, min_group=95).measure(system)
    assert "needs two with 95 points" in few.missing["epsilon_gap"]
    assert "epsilon_worst_group" not in named(few)
    y = torch.as_tensor(system.problem.rows("test")[1])
    X = torch.as_tensor(system.problem.rows("test")[0])

    def wrong(x):
        """Every test row at its wrong label, wherever it is moved."""
        nearest = torch.cdist(x.flatten(0, -2), X).argmin(-1).view(x.shape[:-1])
        logits = 1.0 - torch.nn.functional.one_hot(y[nearest], 2)
        return logits.expand(4, *logits.shape[-2:]) + 0 * x.sum(-1, keepdim=True)

    measured = QUICK.measure(dataclasses.replace(system, forward=wrong))
    assert "no correct point" in measured.missing["mean_epsilon"]
    assert (named(measured)["mean_epsilon_all"] == 0).all()


def test_grids_must_increase():
    with pytest.raises(ValueError, match="increasing radii"):
        Margin(grid=(0.2, 0.1))
