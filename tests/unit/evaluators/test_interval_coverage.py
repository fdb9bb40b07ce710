"""Intervals of known width around explainers of known noise."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import norm

from trustbench.evaluators.interval_coverage import IntervalCoverage

TRUTH = torch.tensor([4.0, -2.0, 1.0, 0.5, -0.5, 0.0])


def noisy(system, half_width, *, shift=0.0, dead=True):
    """Answers TRUTH + N(0, 1) at each repeat, released +- half_width; the last column is 0."""
    live = torch.ones(6)
    live[-1] = 0.0 if dead else 1.0

    def explain(X, repeat):
        g = torch.Generator().manual_seed(repeat)
        noise = torch.randn(system.replicates, X.shape[-2], 6, generator=g)
        return (TRUTH + noise) * live

    def intervals(X, repeat):
        centre = explain(X, repeat) + shift * live
        return centre - half_width * live, centre + half_width * live

    return dataclasses.replace(system, explainer=explain, intervals=intervals)


def named(measured):
    return {m.name: m.values for m in measured.measurements}


@pytest.mark.parametrize("half_width", [0.5, 1.0, 1.96])
def test_coverage_is_that_of_normal_intervals(system, half_width):
    measured = IntervalCoverage(points=100, repeats=400).measure(noisy(system, half_width))
    found = named(measured)
    expected = norm.cdf(half_width) - norm.cdf(-half_width)
    np.testing.assert_allclose(found["coverage"], expected, atol=0.03)
    np.testing.assert_allclose(found["miscoverage"], abs(expected - 0.95), atol=0.03)
    np.testing.assert_allclose(
        found["relative_width"], 2 * half_width / TRUTH[:5].abs().mean(), rtol=0.05
    )
    assert measured.facts["columns_left_out"] == 1
    # planted: the column that is always 0 counted as covered
    counted = (5 * expected + 1) / 6
    assert half_width > 1.5 or np.abs(found["coverage"] - counted).min() > 0.04


def test_intervals_off_their_centre_cover_less(system):
    found = named(IntervalCoverage(points=100).measure(noisy(system, 1.96, shift=1.0)))
    expected = norm.cdf(0.96) - norm.cdf(-2.96)
    np.testing.assert_allclose(found["coverage"], expected, atol=0.03)


def test_the_truth_has_not_seen_the_measured_intervals(system):
    """One repeat's mean as truth would be the interval's own centre: coverage 1, planted."""
    seen = []
    plain = noisy(system, 1.0)

    def explain(X, repeat):
        seen.append(repeat)
        return plain.explainer(X, repeat)

    spied = dataclasses.replace(plain, explainer=explain)
    IntervalCoverage(points=5, repeats=7, draws=3).measure(spied)
    assert seen == list(range(3, 10))


def test_too_few_repeats_cost_coverage(system):
    """The truth's own error is 1 / repeats of the variance: at 2, sqrt(1.5) standard deviations."""
    few = named(IntervalCoverage(points=200, repeats=2).measure(noisy(system, 1.96)))
    expected = 2 * norm.cdf(1.96 / np.sqrt(1.5)) - 1
    np.testing.assert_allclose(few["coverage"], expected, atol=0.03)


def test_what_is_not_released_or_always_zero_is_a_reason(system):
    reason = "needs intervals around released explanations (intervention=bayes_lime)"
    assert IntervalCoverage().supports(system) == reason
    assert IntervalCoverage().supports(noisy(system, 1)) is None

    def nothing(X, repeat):
        return torch.zeros(system.replicates, X.shape[-2], 6)

    silent = dataclasses.replace(
        system, explainer=nothing, intervals=lambda X, k: (nothing(X, k), nothing(X, k))
    )
    measured = IntervalCoverage().measure(silent)
    assert not measured.measurements
    assert measured.missing["coverage"] == "every released attribution of some replicate is 0"
