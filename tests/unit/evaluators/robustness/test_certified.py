"""Certified accuracy: the closed form of linear replicates, and an attack that cannot break it."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.unit.evaluators.robustness.test_robustness import named
from trustbench.evaluators.robustness.certified import CertifiedAccuracy
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.pgd import pgd
from trustbench.methods.attacks.evasion.targets import targets
from trustbench.methods.attacks.smoothing import Smoothed

QUICK = CertifiedAccuracy(sigma=0.5, radii=(0.2, 0.6), samples=4000, points=80)


def test_linear_replicates_are_certified_up_to_their_distance(system):
    W = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(0))
    linear = dataclasses.replace(system, forward=lambda x: torch.bmm(x.expand(4, *x.shape[-2:]), W))
    measured = QUICK.measure(linear)
    v, at = named(measured), targets(linear, 80)
    logits = linear.forward(at.X)
    true = at.y.expand(4, -1).unsqueeze(-1)
    lead = (logits.gather(-1, true) - logits.gather(-1, 1 - true)).squeeze(-1)
    distance = (lead / (W[:, :, 0] - W[:, :, 1]).norm(dim=1)[:, None]).numpy()
    for r in QUICK.radii:
        certified = v[f"certified_accuracy_{r:g}"]
        assert (certified <= (distance > r).mean(1) + 1e-12).all()
        assert (certified >= (distance > r + 0.1).mean(1)).all()
        # planted error: a radius in units of half sigma certifies too little
        assert not (certified >= (distance > r / 2 + 0.1).mean(1)).all()
    assert (v["smoothed_accuracy"] >= v["certified_accuracy_0.2"]).all()
    assert (v["abstained"] + v["smoothed_accuracy"] <= 1).all()
    radius = measured.arrays["radius"]
    assert (radius <= np.abs(distance) + 1e-6).all()
    largest = measured.facts["largest_radius"]
    assert radius.max() <= largest
    expected = np.where((distance > 0) & (radius > 0), radius, 0).mean(1)
    np.testing.assert_allclose(v["average_certified_radius"], expected, atol=1e-3)


def test_no_attack_within_the_radius_changes_a_certified_class(multiclass_system):
    """PGD on the soft smoothed classifier, then the votes of fresh noise at what it found."""
    system, sigma = multiclass_system, 0.5
    method = CertifiedAccuracy(sigma=sigma, radii=(0.3,), samples=2000, points=60)
    radius = method.measure(system).arrays["radius"]
    at, g = targets(system, 60), torch.Generator().manual_seed(5)
    noise = sigma * torch.randn(64, 6, generator=g)
    threat = ThreatModel.of(system.problem, "l2", 0.3, at.X)
    streams = [torch.Generator().manual_seed(r) for r in range(4)]
    found = pgd(
        Smoothed(system.forward, noise), at.X, at.y, threat, streams, steps=10, loss="margin"
    )
    fresh = sigma * torch.randn(600, 6, generator=g)

    def voted(X):
        wins = [torch.nn.functional.one_hot(system.forward(X + e).argmax(-1), 5) for e in fresh]
        return torch.stack(wins).sum(0).argmax(-1)

    same = (voted(found.X) == voted(at.X)).numpy()
    assert same[radius > 0.3].all()
    assert not same[radius <= 0.3].all()


def test_a_deployed_smoothed_model_is_certified_on_the_model_inside(system):
    noise = 0.5 * torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    inside = dataclasses.replace(system, forward=Smoothed(system.forward, noise))
    a, b = named(QUICK.measure(system)), named(QUICK.measure(inside))
    for name, values in a.items():
        np.testing.assert_array_equal(values, b[name])


@pytest.mark.parametrize(("sigma", "less"), [(0.25, False), (1.5, True)])
def test_the_reach_grows_with_sigma_and_accuracy_falls(multiclass_system, sigma, less):
    quick = dataclasses.replace(QUICK, samples=500)
    base = named(quick.measure(multiclass_system))
    other = quick = dataclasses.replace(quick, sigma=sigma)
    v = named(other.measure(multiclass_system))
    assert (v["smoothed_accuracy"].mean() < base["smoothed_accuracy"].mean()) == less
    assert (quick._largest() > QUICK._largest()) == less
