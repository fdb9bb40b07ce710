"""Slopes become effects, contributions add up, on columns and on patches."""

import dataclasses

import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.contracts import Feature
from trustbench.interventions.explainability.gradient_x_input import GradientInputRelease
from trustbench.interventions.explainability.saliency import SaliencyRelease
from trustbench.methods.explanations.lime_surrogate import Lime, Stream, flatten
from trustbench.methods.explanations.neighbourhoods import neighbourhood
from trustbench.methods.explanations.released import (
    clipped,
    explained_points,
    part_effects,
    release,
)


@pytest.fixture(scope="module")
def image_system():
    flat = make_problem(n=200, d=144)
    pixels = tuple(Feature(f"p{j}", "pixel", (j,), -20.0, 20.0) for j in range(144))
    problem = dataclasses.replace(flat, X=flat.X.reshape(-1, 1, 12, 12), features=pixels)
    return make_system(problem, replicates=2, steps=40)


@pytest.mark.parametrize("name", ["system", "image_system"])
def test_slopes_and_contributions_tell_the_same_effects(name, request):
    """Saliency times (x - baseline), summed over a part, is gradient x input, summed."""
    system = request.getfixturevalue(name)
    area, (X, _) = neighbourhood(system.problem), explained_points(system, 5)
    effects = []
    for method in (SaliencyRelease(), GradientInputRelease()):
        released = method.deploy(system)
        effects.append(part_effects(released, area, released.explain(X), X))
    assert effects[0].shape == (system.replicates, 5, area.parts)
    torch.testing.assert_close(effects[0], effects[1], rtol=1e-4, atol=1e-6)
    # planted error: what the slopes would say if they were taken for contributions
    wrong = release(system, lambda X, k: X, "contributions")
    found = part_effects(wrong, area, SaliencyRelease().deploy(system).explain(X), X)
    assert not torch.allclose(found, effects[0], rtol=0.1)


@pytest.mark.parametrize("name", ["system", "image_system"])
def test_undeclared_attributions_are_those_of_lime(name, request):
    system = request.getfixturevalue(name)
    lime, (X, _) = Lime(samples=60, patch_samples=60), explained_points(system, 5)
    area = lime.neighbourhood(system)
    attributions = lime.attributions(system, area, X, Stream.PROBE)
    expected = area.effects(area.collect(attributions.double()), flatten(system, X))
    found = part_effects(system, area, attributions, X)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)


def test_clipping_bounds_the_norm_and_keeps_the_direction():
    values = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for order in (1, 2):
        found = clipped(values, 1.5, order)
        norms = values.norm(p=order, dim=-1)
        torch.testing.assert_close(found.norm(p=order, dim=-1), norms.clamp(max=1.5))
        torch.testing.assert_close(
            found * norms[..., None], values * norms.clamp(max=1.5)[..., None]
        )
    assert torch.equal(clipped(torch.zeros(2), 1.0, 2), torch.zeros(2))
