"""Smoothing: the bound against scipy, radii against the exact ones of a linear classifier."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, norm

from trustbench.methods.attacks.smoothing import (
    Smoothed,
    certified_radius,
    draws,
    lower_bound,
    spread,
    votes,
)


@pytest.mark.parametrize(("alpha", "agrees"), [(0.001, True), (0.0005, False)])
def test_the_bound_is_the_one_sided_exact_interval(alpha, agrees):
    """Planted error: alpha / 2, the lower end of the two-sided interval."""
    counts = np.array([0, 1, 37, 500, 999, 1000])
    theirs = [
        binomtest(int(k), 1000, alternative="greater")
        .proportion_ci(confidence_level=0.999, method="exact")
        .low
        for k in counts
    ]
    assert np.allclose(lower_bound(counts, 1000, alpha), theirs, atol=1e-9) == agrees


def test_a_linear_classifier_is_certified_up_to_its_distance_from_the_boundary(problem):
    """Under noise sigma its class wins with probability Phi(distance / sigma), so R = distance."""
    g = torch.Generator().manual_seed(0)
    W = torch.randn(1, 6, 2, generator=g)
    X = torch.as_tensor(problem.rows("test")[0][:60])
    sigma, samples = 0.5, 20_000
    counts = votes(lambda x: x @ W, X, torch.full((6,), sigma), samples, g).numpy()
    assert (counts.sum(-1) == samples).all()
    slope = (W[0, :, 1] - W[0, :, 0]).norm()
    distance = ((X @ W[0]).diff(dim=-1).abs()[:, 0] / slope).numpy()
    radius = certified_radius(lower_bound(counts.max(-1)[0], samples, 0.001), sigma)
    near = (distance > 0.1) & (distance < 1.2)
    assert near.sum() > 5
    assert (radius <= distance + 1e-6).all()  # 60 bounds at 0.001 each
    assert (radius[near] > distance[near] - 0.08).all()
    # planted error: Phi^-1 left out, p_A - 1/2 in its place
    linear = sigma * (lower_bound(counts.max(-1)[0], samples, 0.001) - 0.5)
    assert not (linear[near] > distance[near] - 0.08).all()


def test_abstaining_below_one_half():
    assert certified_radius(np.array([0.2, 0.5]), 1.0).tolist() == [-1.0, -1.0]
    np.testing.assert_allclose(certified_radius(np.array([0.9]), 2.0), 2 * norm.ppf(0.9))


def test_the_smoothed_forward_is_the_mean_softmax_and_differentiable(system):
    X = torch.as_tensor(system.problem.rows("test")[0][:7])
    noise = 0.3 * torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    smoothed = Smoothed(system.forward, noise)
    mean = torch.stack([system.forward(X + e).softmax(-1) for e in noise]).mean(0)
    torch.testing.assert_close(smoothed(X).softmax(-1), mean)
    torch.testing.assert_close(smoothed(X.expand(4, 7, 6)).softmax(-1), mean)
    # planted error: the mean of the logits is another number
    logits = torch.stack([system.forward(X + e) for e in noise]).mean(0)
    assert not torch.allclose(logits.softmax(-1), mean, atol=1e-4)
    X = X.requires_grad_()
    (gradient,) = torch.autograd.grad(smoothed(X)[..., 0].sum(), X)
    assert (gradient != 0).any()


def test_columns_that_may_not_move_get_no_noise(system):
    features = list(system.problem.features)
    features[2] = dataclasses.replace(features[2], mutable=False)
    features[3] = dataclasses.replace(features[3], scale=2.0)
    problem = dataclasses.replace(system.problem, features=tuple(features))
    like = torch.zeros(())
    torch.testing.assert_close(
        spread(problem, 0.5, like), torch.tensor([0.5, 0.5, 0.0, 1.0, 0.5, 0.5])
    )
    noise = draws(dataclasses.replace(system, problem=problem), 0.5, 4000, like, 1)
    assert noise.shape == (4000, 6)
    assert (noise[:, 2] == 0).all()
    np.testing.assert_allclose(noise.std(0)[[0, 3]], [0.5, 1.0], rtol=0.06)
    again = draws(dataclasses.replace(system, problem=problem), 0.5, 4000, like, 1)
    assert torch.equal(noise, again)
