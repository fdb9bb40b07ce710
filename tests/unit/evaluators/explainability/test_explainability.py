"""Fidelity and faithfulness of known models, and what is said about models without any."""

import dataclasses

import numpy as np
import pytest
import torch

from trustbench.evaluators.explainability.explainability import Explainability
from trustbench.methods.explanations.lime_surrogate import Lime, Stream

FEW = {"points": 12, "samples": 200}


def named(measured):
    return {m.name: m.values for m in measured.measurements}


def with_margin(system, margin):
    """Two replicates whose margin of class 1 is `margin(x)`; the second's is ten times that."""

    def forward(X):
        m = margin(X).expand(2, *X.shape[-2:-1]) * torch.tensor([[1.0], [10.0]])
        return torch.stack([torch.zeros_like(m), m], dim=-1)

    return dataclasses.replace(system, forward=forward, replicates=2)


def test_the_mean_and_its_quantiles_are_of_the_same_points(system):
    measured = Explainability(**FEW).measure(system)
    found, r2 = named(measured), measured.arrays["r2"]
    assert list(found) == ["lime_r2", "lime_r2_median", "lime_r2_p10", "deletion"]
    assert r2.shape == (4, 12)
    np.testing.assert_allclose(found["lime_r2"], r2.mean(axis=1))
    np.testing.assert_allclose(found["lime_r2_p10"], np.percentile(r2, 10, axis=1))
    assert measured.facts["dropped"] == 0
    assert measured.facts["samples"] == 200


def test_points_are_test_rows_and_the_numbers_those_of_lime(system):
    measured = Explainability(**FEW).measure(system)
    X = torch.as_tensor(system.problem.rows("test")[0][measured.arrays["rows"]])
    lime = Lime(samples=200)
    r2 = lime.fits(system, lime.neighbourhood(system), X, Stream.PROBE).r2
    np.testing.assert_allclose(measured.arrays["r2"], r2.numpy())


def test_a_linear_margin_is_explained_and_a_rippled_one_is_not(system):
    plane = named(Explainability(**FEW).measure(with_margin(system, lambda X: X.sum(-1))))
    ripples = with_margin(system, lambda X: (30 * X).sin().sum(-1))
    assert (plane["lime_r2"] > 0.99).all()
    assert (plane["deletion"] > 0.05).all()
    assert (named(Explainability(**FEW).measure(ripples))["lime_r2"] < 0.1).all()


def test_points_without_variation_are_dropped_and_counted(system):
    """The margin stops growing 5 standard deviations of the noise left of the median of x0."""
    X = system.problem.rows("test")[0][:, 0]
    limit = float(np.median(X)) - 2.5
    stopped = with_margin(system, lambda X: X[..., 0].clamp(max=limit) - limit + 1)
    measured = Explainability(points=60, samples=40).measure(stopped)
    r2, x0 = measured.arrays["r2"], X[measured.arrays["rows"]]
    assert np.isnan(r2[:, x0 > np.median(X)]).all()
    assert not np.isnan(r2[:, x0 < limit]).any()
    assert measured.facts["dropped"] == np.isnan(r2).sum() > 0
    np.testing.assert_allclose(measured.measurements[0].values, np.nanmean(r2, axis=1))
    constant = with_margin(system, lambda X: 0 * X[..., 0])
    measured = Explainability(**FEW).measure(constant)
    assert set(measured.missing) == {"lime_r2", "lime_r2_median", "lime_r2_p10"}
    assert measured.missing["lime_r2"] == (
        "the explained output is constant around every point of replicates 0, 1, so R2 is undefined"
    )
    assert measured.facts["dropped"] == 24
    np.testing.assert_allclose(named(measured)["deletion"], 0.0)


@pytest.mark.parametrize("field", ["points", "samples", "sigma", "target", "deleted"])
def test_every_setting_counts(system, field):
    other = {"points": 6, "samples": 100, "sigma": 1.5, "target": "probability", "deleted": 0.5}
    base = named(Explainability(**FEW).measure(system))
    changed = named(Explainability(**{**FEW, field: other[field]}).measure(system))
    assert any(not np.allclose(base[k], changed[k]) for k in base)
