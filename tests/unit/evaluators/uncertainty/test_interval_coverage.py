"""Intervals of known width around answers of known noise to a model of known slopes."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import norm

from trustbench.evaluators.uncertainty.interval_coverage import TRUTH, IntervalCoverage
from trustbench.interventions.explainability.bayes_lime import BayesLimeRelease
from trustbench.methods.explanations.lime_surrogate import Lime, Stream

SLOPES = torch.tensor([4.0, -2.0, 1.0, 0.5, -0.5, 1.0])
MANY = {"points": 100, "samples": 2000, "draws": 10}


@pytest.fixture
def linear(system):
    """Two replicates whose margin is X SLOPES; the last column cannot move."""
    pixels = [
        dataclasses.replace(f, kind="pixel", lower=-1.0, upper=-1.0 if j == 5 else 1.0)
        for j, f in enumerate(system.problem.features)
    ]
    problem = dataclasses.replace(system.problem, features=tuple(pixels))

    def forward(X):
        margin = (X @ SLOPES).expand(2, *X.shape[-2:-1])
        return torch.stack([torch.zeros_like(margin), margin], dim=-1)

    return dataclasses.replace(system, problem=problem, forward=forward, replicates=2)


def noisy(system, half_width, *, shift=0.0, scale=1.0):
    """Answers scale x slope + N(0, 1) at each repeat, released +- half_width."""
    live = torch.tensor([1.0, 1, 1, 1, 1, 0])

    def explain(X, repeat):
        g = torch.Generator().manual_seed(repeat)
        noise = torch.randn(system.replicates, X.shape[-2], 6, generator=g)
        sign = torch.where(system.logits(X).argmax(-1) == 1, 1.0, -1.0)[..., None]
        return (scale * sign * SLOPES + noise) * live

    def intervals(X, repeat):
        centre = explain(X, repeat) + shift * live
        return centre - half_width * live, centre + half_width * live

    return dataclasses.replace(system, explainer=explain, intervals=intervals)


def named(measured):
    return {m.name: m.values for m in measured.measurements}


@pytest.mark.parametrize("half_width", [0.5, 1.0, 1.96])
def test_coverage_is_that_of_normal_intervals(linear, half_width):
    measured = IntervalCoverage(**MANY).measure(noisy(linear, half_width))
    found = named(measured)
    expected = norm.cdf(half_width) - norm.cdf(-half_width)
    np.testing.assert_allclose(found["coverage"], expected, atol=0.025)
    np.testing.assert_allclose(found["miscoverage"], abs(expected - 0.95), atol=0.025)
    np.testing.assert_allclose(
        found["relative_width"], 2 * half_width / SLOPES[:5].abs().mean(), rtol=0.05
    )
    assert measured.facts["columns_left_out"] == 1
    # planted: the column that cannot move counted as covered
    counted = (5 * expected + 1) / 6
    assert half_width > 1.5 or np.abs(found["coverage"] - counted).min() > 0.03


def test_intervals_off_their_centre_cover_less(linear):
    found = named(IntervalCoverage(**MANY).measure(noisy(linear, 1.96, shift=1.0)))
    expected = norm.cdf(0.96) - norm.cdf(-2.96)
    np.testing.assert_allclose(found["coverage"], expected, atol=0.025)


def test_the_truth_is_the_model_not_what_is_released(linear):
    """Intervals around twice the slope are calibrated for the method's own mean, and wrong."""
    honest, doubled = (
        named(IntervalCoverage(**MANY).measure(noisy(linear, 1.96, scale=scale)))
        for scale in (1.0, 2.0)
    )
    assert (honest["coverage"] > 0.92).all()
    assert (doubled["coverage"] < 0.8).all()
    assert (doubled["relative_bias"] > honest["relative_bias"] + 0.5).all()


def test_the_truth_shares_no_random_numbers_with_what_is_released(system):
    """Planted: on shared numbers an interval contains its own centre, always."""
    released = BayesLimeRelease(samples=60).deploy(system)
    few = IntervalCoverage(points=20, samples=60, draws=4)
    assert (named(few.measure(released))["coverage"] < 1).all()
    lime = Lime(samples=60)
    area = lime.neighbourhood(system)
    X = system.tensor(system.problem.rows("test")[0][:20])
    own = lime.attributions(system, area, X, Stream.RELEASED)
    lower, upper = released.intervals(X, 0)
    assert ((lower <= own) & (own <= upper)).all()
    assert not torch.equal(own, lime.attributions(system, area, X, Stream.FRESH, TRUTH))


def test_bayes_lime_is_about_calibrated_on_a_trained_model(system):
    found = named(
        IntervalCoverage(samples=5000, points=20).measure(
            BayesLimeRelease(samples=300).deploy(system)
        )
    )
    assert (found["coverage"] > 0.85).all()
    narrow = named(
        IntervalCoverage(samples=5000, points=20, level=0.5).measure(
            BayesLimeRelease(samples=300, level=0.5).deploy(system)
        )
    )
    assert (narrow["coverage"] < found["coverage"] - 0.2).all()
    assert (narrow["relative_width"] < found["relative_width"]).all()


def test_what_is_not_released_or_never_moves_is_a_reason(linear):
    reason = "needs intervals around released explanations (intervention=bayes_lime)"
    assert IntervalCoverage().supports(linear) == reason
    released = noisy(linear, 1)
    assert IntervalCoverage().supports(released) is None
    flat = dataclasses.replace(released, forward=lambda X: torch.zeros(2, X.shape[-2], 2))
    measured = IntervalCoverage(samples=100).measure(flat)
    assert not measured.measurements
    assert measured.missing["coverage"] == "every true coefficient of some replicate is 0"


def test_intervals_that_hold_what_they_claim_are_centred_at_their_claim(linear):
    """The distance from the claim is above 0 by noise alone; the signed difference is not."""
    fields = {"points": 8, "samples": 2000, "draws": 8, "level": 0.95}
    signed, distances = [], []
    for seed in range(12):
        shifted = noisy(linear, norm.ppf(0.975))
        start = 100 * seed
        system = dataclasses.replace(
            shifted,
            explainer=lambda X, k, s=shifted, at=start: s.explain(X, k + at),
            intervals=lambda X, k, s=shifted, at=start: s.intervals(X, k + at),
        )
        found = {m.name: m for m in IntervalCoverage(**fields).measure(system).measurements}
        assert found["coverage"].common_sd > 0
        assert found["coverage_claimed"].diagnostic
        gap = found["coverage"].values - found["coverage_claimed"].values
        signed.append(gap.mean())
        distances.append(found["miscoverage"].values.mean())
    error = np.std(signed, ddof=1) / len(signed) ** 0.5
    assert abs(np.mean(signed)) < 3.5 * error
    assert np.mean(distances) > 2 * error
