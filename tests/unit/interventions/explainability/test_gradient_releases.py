"""Gradient explanations are released through `explain`, and say what they mean."""

import dataclasses

import pytest
import torch

from trustbench.contracts.aspects import Aspect
from trustbench.interventions.explainability.gradient_x_input import GradientInputRelease
from trustbench.interventions.explainability.integrated_gradients import IntegratedGradientsRelease
from trustbench.interventions.explainability.lime import LimeRelease
from trustbench.interventions.explainability.saliency import SaliencyRelease
from trustbench.interventions.explainability.smoothgrad import SmoothGradRelease
from trustbench.methods.explanations import gradients

METHODS = {
    "saliency": (SaliencyRelease(), {}),
    "gradient_x_input": (GradientInputRelease(), {}),
    "integrated_gradients": (IntegratedGradientsRelease(steps=4), {"steps": 4}),
    "smoothgrad": (SmoothGradRelease(samples=3, sigma=0.2), {"samples": 3, "sigma": 0.2}),
}


@pytest.mark.parametrize("name", METHODS)
def test_what_is_released_is_the_named_method(system, name):
    method, settings = METHODS[name]
    X = torch.as_tensor(system.problem.rows("test")[0][:6])
    released = method.deploy(system)
    assert system.explainer is None
    found = released.explain(X)
    expected = getattr(gradients, name)(system, X, "probability", **settings)
    assert torch.equal(found, expected)
    assert torch.equal(found, released.explain(X))
    assert torch.equal(released.forward(X), system.forward(X))
    assert (name == "smoothgrad") == (not torch.equal(found, released.explain(X, 1)))
    other = type(method)(target="margin").deploy(system).explain(X)
    assert not torch.allclose(found, other)


@pytest.mark.parametrize("name", METHODS)
def test_it_is_a_release_that_says_what_it_means(system, name):
    method, settings = METHODS[name]
    assert method.aspect is Aspect.EXPLAINABILITY
    assert not method.retrains
    assert method.dose == tuple(settings)
    slopes = name in ("saliency", "smoothgrad")
    meaning = method.deploy(system).facts["attributions"]
    assert meaning == ("slopes" if slopes else "contributions")


def test_intervals_around_other_explanations_are_withdrawn(system):
    lime = LimeRelease(samples=50).deploy(system)
    with_intervals = dataclasses.replace(lime, intervals=lambda X, k: (X, X))
    assert SaliencyRelease().deploy(with_intervals).intervals is None
