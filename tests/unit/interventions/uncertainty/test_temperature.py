"""The fitted temperature against scipy's optimum, and what scaling leaves alone."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from trustbench.interventions.uncertainty.temperature import TemperatureScaling, temperatures


def nll(log_t, z, y):
    scaled = torch.as_tensor(z / np.exp(log_t)).log_softmax(-1).numpy()
    return -scaled[np.arange(len(y)), y].mean()


@pytest.mark.parametrize(("planted", "agrees"), [(lambda t: t, True), (lambda t: 1 / t, False)])
def test_it_is_the_optimum_that_scipy_finds(multiclass_system, planted, agrees):
    """Planted error: logits multiplied by the temperature instead of divided."""
    logits = multiclass_system.split_logits("validation").double()
    y = multiclass_system.problem.rows("validation")[1]
    ours = planted(temperatures(logits, torch.as_tensor(y))).numpy()
    theirs = [
        np.exp(minimize_scalar(nll, (-1, 1), args=(z, y), method="brent", tol=1e-12).x)
        for z in logits.numpy()
    ]
    assert np.allclose(ours, theirs, rtol=1e-5) == agrees


def test_a_known_temperature_is_recovered():
    g = torch.Generator().manual_seed(0)
    honest = torch.randn(2, 40_000, 3, generator=g, dtype=torch.float64)
    y = torch.distributions.Categorical(logits=honest[0]).sample()
    both = torch.stack([honest[0], 3 * honest[0]])
    fitted = temperatures(both, y)
    torch.testing.assert_close(fitted, torch.tensor([1.0, 3.0]).double(), rtol=0.03, atol=0)
    torch.testing.assert_close(fitted[1], 3 * fitted[0])


def test_no_error_at_all_leaves_the_coldest_temperature():
    logits = torch.tensor([[[5.0, 0.0], [0.0, 5.0]]]).double()
    assert temperatures(logits, torch.tensor([0, 1])).item() == pytest.approx(0.01)
    assert temperatures(logits, torch.tensor([1, 0])).item() == pytest.approx(100.0)


def test_deploying_scales_logits_and_keeps_decisions(multiclass_system):
    system = multiclass_system
    overconfident = dataclasses.replace(system, forward=lambda x: 4 * system.forward(x))
    scaled = TemperatureScaling().deploy(overconfident)
    X = torch.as_tensor(system.problem.rows("test")[0])
    assert torch.equal(scaled.forward(X).argmax(-1), system.forward(X).argmax(-1))
    y = torch.as_tensor(system.problem.rows("validation")[1]).expand(4, -1)

    def loss(some):
        z = some.split_logits("validation")
        return torch.nn.functional.cross_entropy(z.transpose(1, 2), y, reduction="none").mean(1)

    assert (loss(scaled) < loss(overconfident)).all()
    assert (loss(scaled) <= loss(system) + 1e-6).all()
    assert scaled.facts["temperature"] > 1
    assert "temperature" not in overconfident.facts
    X = X[:3].requires_grad_()
    assert torch.autograd.grad(scaled.forward(X).sum(), X)[0].abs().sum() > 0
    assert not TemperatureScaling().retrains
