"""Noise and budgets against Opacus' accountants, a likelihood-ratio test and closed forms."""

import dataclasses
import math

import numpy as np
import pytest
from opacus.accountants.analysis.gdp import delta_eps_mu
from scipy.stats import kstest, norm

from trustbench.contracts.mechanisms import PoissonGaussian
from trustbench.methods.explanations.private_release import Mechanism
from trustbench.methods.privacy import accounting
from trustbench.methods.privacy.composition import spent

GAUSSIAN = Mechanism("gaussian", epsilon=1.0, delta=1e-5, bound=0.7)
LAPLACE = Mechanism("laplace", epsilon=0.1, delta=1e-5, bound=0.7)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0])
@pytest.mark.parametrize("wrong", [None, "bound", "three times"])
def test_gaussian_noise_spends_exactly_its_epsilon(epsilon, wrong):
    """Opacus' Gaussian accountant, at the sensitivity 2 bound; half of it is a planted error."""
    mechanism = dataclasses.replace(GAUSSIAN, epsilon=epsilon)
    sensitivity = {None: 1.4, "bound": 0.7, "three times": 2.1}[wrong]
    delta = delta_eps_mu(eps=epsilon, mu=sensitivity / mechanism.scale)
    assert (delta == pytest.approx(1e-5, rel=1e-4)) == (wrong is None)


@pytest.mark.parametrize("queries", [1, 30])
def test_gaussian_totals_are_those_of_the_prv_accountant(queries):
    total = spent([GAUSSIAN.released(queries)], 1e-5)
    expected = accounting.spent(PoissonGaussian(GAUSSIAN.scale / 1.4, 1.0, queries), 1e-5).epsilon
    assert total.epsilon == pytest.approx(expected, rel=0.02)
    assert total.delta == 1e-5
    # planted error: adding up is far more than what is spent
    assert queries == 1 or queries * 1.0 > 1.5 * expected


def test_laplace_totals_are_the_better_of_two_theorems():
    few, many = (spent([LAPLACE.released(n)], 1e-5) for n in (2, 1000))
    assert few == (pytest.approx(0.2), 0.0, "basic composition")
    expected = math.sqrt(2 * 1000 * math.log(1e5)) * 0.1 + 1000 * 0.1 * (math.exp(0.1) - 1)
    assert (many.epsilon, many.delta) == (pytest.approx(expected), 1e-5)
    assert many.accountant == "advanced composition"
    assert many.epsilon < 1000 * 0.1


@pytest.mark.parametrize("mechanism", [GAUSSIAN, dataclasses.replace(LAPLACE, epsilon=1.0)])
def test_no_distinguisher_beats_the_guarantee(mechanism):
    """Opposite ends of the ball: the true-positive rate is at most e^eps FPR + delta."""
    rng = np.random.default_rng(0)
    draw = rng.normal if mechanism.name == "gaussian" else rng.laplace
    a, b = (end + mechanism.scale * draw(size=400_000) for end in (-0.7, 0.7))
    for threshold in np.linspace(-2, 6, 17) * mechanism.scale:
        fpr, tpr = (a > threshold).mean(), (b > threshold).mean()
        assert tpr <= math.e * fpr + 1e-5 + 4 * math.sqrt(tpr / len(b)) + 1e-4
    # planted error: a third of the noise is told apart beyond the bound
    a, b = ((x - end) / 3 + end for x, end in ((a, -0.7), (b, 0.7)))
    thresholds = np.linspace(0, 1, 16) * mechanism.scale
    assert any((b > t).mean() > math.e * (a > t).mean() + 0.05 for t in thresholds)


@pytest.mark.parametrize("mechanism", [GAUSSIAN, LAPLACE])
def test_noise_has_its_law_and_belongs_to_the_question(mechanism):
    rows = np.random.default_rng(0).normal(size=(3, 40, 50)).astype(np.float32)
    rows[1] = rows[0]
    noise = mechanism.noise(rows, seed=5)
    law = norm(scale=mechanism.scale).cdf if mechanism.name == "gaussian" else "laplace"
    args = () if mechanism.name == "gaussian" else (0, mechanism.scale)
    assert kstest(noise.ravel(), law, args=args).pvalue > 0.001
    assert kstest(1.1 * noise.ravel(), law, args=args).pvalue < 0.001
    np.testing.assert_array_equal(mechanism.noise(rows[:, 5:9], seed=5), noise[:, 5:9])
    assert not np.allclose(noise[0], noise[1]), "each replicate draws its own"
    assert not np.allclose(mechanism.noise(rows, seed=6), noise)
    inside = (np.abs(noise) < mechanism.reach(0.8)).mean()
    assert inside == pytest.approx(0.8, abs=0.02)
