"""The vectorised posterior against the paper's formulas written out for one row."""

import numpy as np
import pytest
import torch
from scipy.stats import invgamma

from trustbench.methods.explanations.bayes_lime import intervals, posterior
from trustbench.methods.explanations.lime_surrogate import Lime, Stream

B, K, S, P = 2, 3, 40, 4


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    design = rng.normal(size=(B, S, P))
    weights = np.exp(-np.square(design).sum(-1) / 4)
    targets = design[:, None] @ rng.normal(size=(1, K, P, 1)) + rng.normal(size=(B, K, S, 1))
    return design, weights, targets[..., 0] + 2.0


def by_hand(design, weights, targets, wrong=None):
    """(mean [P], covariance [P, P], dof): an N x N weight matrix, the intercept a regressor.

    The paper's V = (Z' W Z + I)^-1, phi = V Z' W y, s2 = (e' W e + phi' phi) / N, except that
    the prior leaves the intercept alone, which costs one degree of freedom.
    """
    Z = np.column_stack([np.ones(len(design)), design])
    W = np.eye(len(design)) if wrong == "unweighted" else np.diag(weights)
    prior = np.diag([0.0] + [1.0] * design.shape[1])
    V = np.linalg.inv(Z.T @ W @ Z + (0 if wrong == "no prior" else 1) * prior)
    phi = V @ Z.T @ W @ targets
    e, freedom = targets - Z @ phi, len(design) - 1
    s2 = (e @ W @ e + (0 if wrong == "residuals only" else phi @ prior @ phi)) / freedom
    return phi[1:], s2 * V[1:, 1:], freedom


@pytest.mark.parametrize("wrong", [None, "unweighted", "no prior", "residuals only"])
def test_the_posterior_is_that_of_the_formulas(data, wrong):
    design, weights, targets = data
    found = posterior(*map(torch.as_tensor, data))
    expected = [
        [by_hand(design[b], weights[b], targets[b, k], wrong) for k in range(K)] for b in range(B)
    ]
    mean = np.array([[m for m, _, _ in row] for row in expected])
    scale = np.sqrt([[np.diag(C) for _, C, _ in row] for row in expected])
    same = np.allclose(found.mean, mean, rtol=1e-9) and np.allclose(found.scale, scale, rtol=1e-9)
    assert same == (wrong is None)
    assert found.freedom == S - 1


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_intervals_are_quantiles_of_posterior_samples(data, level):
    """As the authors draw them: a variance from an inverse gamma, coefficients given it."""
    design, weights, targets = (array[0] for array in data)
    mean, covariance, freedom = by_hand(design, weights, targets[1])
    s2 = np.trace(covariance) / P
    rng = np.random.default_rng(1)
    variances = invgamma.rvs(freedom / 2, scale=freedom * s2 / 2, size=200_000, random_state=rng)
    unit = rng.multivariate_normal(np.zeros(P), covariance / s2, size=200_000)
    samples = mean + unit * np.sqrt(variances)[:, None]
    expected = np.quantile(samples, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    ends = posterior(*map(torch.as_tensor, data)).interval(level)
    found = np.array([end[0, 1].numpy() for end in ends])
    np.testing.assert_allclose(found, expected, atol=0.02 * np.sqrt(covariance.max()) * 4)


def test_coverage_of_a_linear_model_with_noise():
    """The credible intervals of true coefficients drawn from the prior cover as they claim."""
    rng = np.random.default_rng(2)
    design = rng.normal(size=(1, 30, 3))
    weights = rng.uniform(0.2, 1.0, size=(1, 30))
    true = rng.normal(size=(4000, 3))
    noise = rng.normal(size=(4000, 30)) / np.sqrt(weights)
    targets = true @ design[0].T + noise
    found = posterior(*map(torch.as_tensor, (design, weights, targets[None])))
    lower, upper = (end[0].numpy() for end in found.interval(0.9))
    coverage = ((lower < true) & (true < upper)).mean()
    assert coverage == pytest.approx(0.9, abs=0.01)
    halved = ((lower < true - 1) & (true - 1 < upper)).mean()
    assert halved < 0.5


def test_intervals_surround_the_released_attributions(system):
    lime = Lime(samples=100)
    area = lime.neighbourhood(system)
    X = torch.as_tensor(system.problem.rows("test")[0][:7])
    for rows in (X, X.expand(4, *X.shape)):
        lower, upper = intervals(lime, system, area, rows, 0.95)
        centre = lime.attributions(system, area, rows, Stream.RELEASED)
        assert lower.shape == (4, 7, 6)
        torch.testing.assert_close((lower + upper) / 2, centre, rtol=1e-4, atol=1e-5)
        assert (upper > lower).all()
    narrow = intervals(Lime(samples=400), system, area, X, 0.95)
    ratio = ((narrow[1] - narrow[0]) / (upper - lower)).mean()
    assert ratio == pytest.approx(0.5, abs=0.1)
