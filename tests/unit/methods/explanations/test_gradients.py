"""Vectorised gradients against torch.func one replicate at a time, and their axioms."""

import dataclasses

import pytest
import torch
from torch.func import grad, vmap

from trustbench.methods.explanations import gradients
from trustbench.methods.explanations.targets import target_values


@pytest.fixture(scope="module")
def rows(system):
    return torch.as_tensor(system.problem.rows("test")[0][:20])


def target_of(system, r, x, c, target):
    """The target of replicate r at one row x [d], for class c; by the definition."""
    logits = system.forward(x[None])[r, 0]
    if target == "probability":
        return logits.softmax(-1)[c]
    others = torch.where(torch.arange(len(logits)) == c, -torch.inf, logits)
    return logits[c] - others.exp().sum().log()


@pytest.mark.parametrize("target", ["probability", "margin"])
def test_gradients_are_those_of_each_replicate_alone(multiclass_system, target):
    system = multiclass_system
    X = torch.as_tensor(system.problem.rows("test")[0][:20])
    found = gradients.input_gradients(system, X, target)
    classes = system.logits(X).argmax(-1)
    for r in range(system.replicates):
        one = grad(lambda x, c, r=r: target_of(system, r, x, c, target))
        expected = torch.stack([one(x, c) for x, c in zip(X, classes[r], strict=True)])
        torch.testing.assert_close(found[r], expected, rtol=1e-3, atol=1e-5)
        # planted errors: class 0 for everybody, and the next replicate's gradient
        wrong = vmap(one, in_dims=(0, None))(X, torch.tensor(0))
        assert (found[r] - wrong).abs().max() > 0.01
        assert (found[r - 1] - expected).abs().max() > 0.01


@pytest.mark.parametrize("method", ["saliency", "gradient_x_input", "smoothgrad"])
def test_rows_shared_or_given_to_each_replicate_in_any_company(system, rows, method, monkeypatch):
    explain = getattr(gradients, method)
    found = explain(system, rows)
    assert found.shape == (4, 20, 6)
    assert found.dtype == rows.dtype
    assert not found.requires_grad
    torch.testing.assert_close(explain(system, rows.expand(4, *rows.shape)), found)
    torch.testing.assert_close(explain(system, rows[3:5]), found[:, 3:5])
    monkeypatch.setattr(gradients, "BUDGET", 7 * 4 * 6)  # seven rows at a time
    torch.testing.assert_close(explain(system, rows), found)


def test_integrated_gradients_are_complete(system, rows):
    """They sum to the difference of the target; gradient times input does not."""
    mean = torch.as_tensor(system.problem.rows("train")[0].mean(axis=0))
    classes = system.logits(rows).argmax(-1)
    ends = torch.stack([rows, mean.expand_as(rows)])
    at = [target_values(system.logits(x)[:, :, None], classes, "margin")[..., 0] for x in ends]
    found = gradients.integrated_gradients(system, rows, "margin", steps=64).sum(-1)
    torch.testing.assert_close(found, at[0] - at[1], rtol=0.01, atol=0.02)
    coarse = gradients.gradient_x_input(system, rows, "margin").sum(-1)
    assert (coarse - (at[0] - at[1])).abs().max() > 0.5


def test_on_a_plane_every_method_knows_the_slopes(system, rows):
    w = torch.tensor([1.0, -2.0, 0.0, 3.0, 0.5, 0.0])

    def forward(X):
        m = (X @ w).expand(4, *X.shape[-2:-1])
        return torch.stack([torch.zeros_like(m), m], dim=-1)

    plane = dataclasses.replace(system, forward=forward)
    sign = torch.where(rows @ w > 0, 1.0, -1.0)[:, None]
    slopes = (sign * w).expand(4, 20, 6)
    mean = torch.as_tensor(system.problem.rows("train")[0].mean(axis=0))
    torch.testing.assert_close(gradients.saliency(plane, rows, "margin"), slopes)
    torch.testing.assert_close(gradients.smoothgrad(plane, rows, "margin"), slopes)
    for method in (gradients.gradient_x_input, gradients.integrated_gradients):
        torch.testing.assert_close(method(plane, rows, "margin"), slopes * (rows - mean))


def test_smoothgrad_is_the_mean_over_its_noise(system, rows):
    seeded = system.streams.numpy("explanations", "smoothgrad", 2)
    noise = 0.3 * torch.as_tensor(seeded.standard_normal((5, 6)), dtype=torch.float32)
    classes = system.logits(rows).argmax(-1)
    single = [gradients.input_gradients(system, rows + z, "margin", classes) for z in noise]
    found = gradients.smoothgrad(system, rows, "margin", samples=5, sigma=0.3, repeat=2)
    torch.testing.assert_close(found, torch.stack(single).mean(0))
    other = gradients.smoothgrad(system, rows, "margin", samples=5, sigma=0.3, repeat=1)
    assert (found - other).abs().max() > 1e-3
