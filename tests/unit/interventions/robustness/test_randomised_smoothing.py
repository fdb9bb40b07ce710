"""A smoothed model is deployed, deterministic, and flatter than the model inside."""

import dataclasses

import torch

from trustbench.interventions.robustness.randomised_smoothing import RandomisedSmoothing
from trustbench.methods.attacks.smoothing import Smoothed


def test_the_forward_is_replaced_by_its_average_over_noise(system):
    smoothed = RandomisedSmoothing(sigma=0.4, samples=12).deploy(system)
    assert isinstance(smoothed.forward, Smoothed)
    assert smoothed.forward.base is system.forward
    assert smoothed.forward.noise.shape == (12, 6)
    X = torch.as_tensor(system.problem.rows("test")[0])
    assert torch.equal(smoothed.forward(X), smoothed.forward(X))
    again = RandomisedSmoothing(sigma=0.4, samples=12).deploy(system)
    assert torch.equal(again.forward(X), smoothed.forward(X))
    confidence = system.forward(X).softmax(-1).amax(-1).mean()
    assert smoothed.forward(X).softmax(-1).amax(-1).mean() < confidence


def test_no_noise_changes_nothing_and_frozen_columns_are_a_reason(system):
    X = torch.as_tensor(system.problem.rows("test")[0])
    still = RandomisedSmoothing(sigma=1e-6, samples=3).deploy(system)
    torch.testing.assert_close(
        still.forward(X), system.forward(X).log_softmax(-1), atol=1e-4, rtol=0
    )
    features = tuple(dataclasses.replace(f, scale=0.0) for f in system.problem.features)
    frozen = dataclasses.replace(system.problem, features=features)
    assert "no column of toy" in RandomisedSmoothing().supports(frozen, None)
    assert not RandomisedSmoothing().retrains
