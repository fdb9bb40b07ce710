"""Epsilon against published values, two other accountants, and what a budget promises."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants.analysis.prv import (
    PoissonSubsampledGaussianPRV,
    TruncatedPrivacyRandomVariable,
    compose_heterogeneous,
    discretize,
)
from opacus.accountants.analysis.rdp import _compute_rdp
from scipy.fft import next_fast_len

from trustbench.errors import ConfigError
from trustbench.methods.privacy import accounting, losses, renyi
from trustbench.methods.privacy.accounting import PoissonGaussian, noise_for, rdp, spent

# Esipova et al. 2023, MNIST: n = 54,676, B = 256, sigma .8, 60 epochs, delta 1e-6.
ESIPOVA = PoissonGaussian(0.8, 256 / 54676, 12780), 1e-6

# Google's dp-accounting 0.6.0, PLDAccountant, the worse of adding and removing a member; its own
# mesh makes it exact to about 1e-4 relative. (sigma, rate, steps) of each mechanism, delta.
GOOGLE = [
    ([(1.0, 0.0128, 390)], 1e-5, 1.5440024852402596),
    ([(1.9, 0.064, 480)], 1.1e-4, 2.9756005219639423),
    ([(0.7, 0.0116, 2580)], 1.7e-5, 7.905469997314937),
    ([(3.415, 0.32, 90)], 6.4e-4, 2.9745810554620054),
    ([(113.07, 0.64, 10)], 1.4e-3, 0.01859029004915358),
    ([(0.627, 0.64, 10)], 1.4e-3, 18.83773714164759),
    ([(0.3514, 0.64, 60)], 1.4e-3, 198.7997021411723),
    ([(13.458, 0.64, 60)], 1e-12, 2.5316120187854323),
    ([(2.0, 0.01, 1000)], 1e-8, 0.8932884043719764),
    ([(1.1, 0.64, 60)], 0.9, 3.160366139204364),
    ([(1.1, 0.2, 60)], 0.3, 1.252573549400076),
    ([(5.0, 1.0, 40)], 1e-5, 5.759481606783939),
    ([(0.5, 0.9, 3)], 1e-5, 19.561650653422195),
    ([(0.4, 0.001, 1000)], 1e-6, 8.63068541148811),
    ([(1.0, 0.3, 1)], 0.05, 0.313076794984579),
    ([(1.2, 0.02, 500), (2.5, 0.05, 200)], 1e-5, 2.3110982883459),
]


def mechanisms(parameters):
    return [PoissonGaussian(*each) for each in parameters]


def test_epsilon_of_esipova_2023_is_the_published_one():
    assert rdp(*ESIPOVA) == pytest.approx(5.90, abs=0.005)
    assert spent(*ESIPOVA).epsilon == pytest.approx(5.43, abs=0.005)
    assert spent(*ESIPOVA).accountant == "prv"


@pytest.mark.parametrize(("parameters", "delta", "google"), GOOGLE)
def test_never_below_googles_accountant_and_close_to_it(parameters, delta, google):
    ours = spent(mechanisms(parameters), delta)
    assert ours.epsilon >= google * (1 - 1e-6)
    assert ours.epsilon <= google * 1.06 + 0.005


@pytest.mark.parametrize(("sigma", "rate"), [(1.66, 0.32), (0.8, 0.005), (0.05, 0.01), (5.0, 0.5)])
def test_renyi_divergences_are_those_of_opacus(sigma, rate):
    orders = (1.1, 2.0, 5.5, 10.9, 63.0)
    opacus = [_compute_rdp(rate, sigma, a) for a in orders]
    ours = renyi.divergences(sigma, rate, orders)
    assert list(ours) == pytest.approx(opacus, rel=1e-8, abs=1e-11)


def test_five_times_the_same_mechanism_is_one_of_five_times_the_steps():
    one, delta = PoissonGaussian(1.9, 0.064, 480), 1.1e-4
    assert spent([one] * 5, delta) == spent(PoissonGaussian(1.9, 0.064, 2400), delta)
    # dp-accounting, five times the steps, says 7.6607
    assert 7.6606 <= spent([one] * 5, delta).epsilon <= 7.69


def test_the_order_of_mechanisms_changes_nothing():
    pair = mechanisms([(1.2, 0.02, 500), (2.5, 0.05, 200)])
    assert spent(pair, 1e-5) == spent(pair[::-1], 1e-5)


@pytest.mark.parametrize("delta", [1e-5, 1e-8, 1e-12, 1e-15, 1e-300, 0.9])
def test_every_delta_has_an_epsilon_and_none_is_negative(delta):
    mechanism = PoissonGaussian(3.0, 0.1, 200)
    bound = spent(mechanism, delta)
    assert 0 <= bound.epsilon <= rdp(mechanism, delta) < math.inf
    assert spent(PoissonGaussian(1e4, 0.1, 2), 0.9).epsilon == 0


@pytest.mark.parametrize("target", [0.02, 0.5, 3.0, 8.0, 19.0, 20.0, 30.0, 200.0])
@pytest.mark.parametrize(("rate", "steps"), [(128 / 430, 90), (256 / 400, 10)])
def test_calibrated_noise_spends_the_target_and_no_more(target, rate, steps):
    delta = 1.3e-3
    sigma = noise_for(target, rate, steps, delta)
    assert 0.985 * target <= spent(PoissonGaussian(sigma, rate, steps), delta).epsilon <= target
    # The answer is tight: 3 % less noise overspends.
    assert spent(PoissonGaussian(0.97 * sigma, rate, steps), delta).epsilon > target


@pytest.mark.parametrize(
    ("members", "target", "sigma"),
    [
        (200, 3.0, 5.194064873467402),
        (200, 8.0, 2.4643476466412793),
        (800, 3.0, 3.4151850372608794),
        (430, 8.0, 2.275286381376757),
        (22000, 3.0, 1.0712621917726375),
        (22000, 8.0, 0.700613520193921),
    ],
)
def test_the_noise_of_a_budget_stays_where_it_was(members, target, sigma):
    rate = min(1.0, 256 / members)
    steps = round(1 / rate) * 30
    assert noise_for(target, rate, steps, accounting.default_delta(members)) == pytest.approx(
        sigma,
        rel=1e-8,  # the rounding of another order of sums
    )


@pytest.mark.parametrize(
    ("epsilon", "delta", "sigma"),
    [
        (0.3, None, 34.270505978529236),
        (0.5, None, 22.429160369880467),
        (0.7, None, 16.891090794317982),
        (3.0, 1e-10, 10.411850540901709),
        (3.0, 1e-12, 11.970080889777353),
        (10.0, None, 2.059526963277244),
        (19.0, None, 1.331221795860172),
        (25.0, None, 1.11734607582828),
    ],
)
def test_the_noise_of_extreme_budgets_stays_where_it_was(epsilon, delta, sigma):
    found = noise_for(epsilon, 256 / 400, 60, delta or accounting.default_delta(400))
    assert found == pytest.approx(sigma, rel=1e-6)


deltas = st.floats(-15, -2).map(lambda x: 10**x)
rates = st.floats(-4, 0).map(lambda x: 10**x)
targets = st.floats(-2, 2.5).map(lambda x: 10**x)
sigmas = st.floats(-0.5, 2.5).map(lambda x: 10**x)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(target=targets, rate=rates, steps=st.integers(1, 3000), delta=deltas)
def test_no_budget_is_exceeded_or_refused(target, rate, steps, delta):
    """Single precision holds the noise of all of these, so none is unreachable."""
    sigma = noise_for(target, rate, steps, delta)
    assert 0 <= spent(PoissonGaussian(sigma, rate, steps), delta).epsilon <= target


@settings(max_examples=12, deadline=None, derandomize=True)
@given(sigma=sigmas, rate=rates, steps=st.integers(1, 3000), delta=deltas)
def test_more_noise_fewer_steps_and_a_larger_delta_never_spend_more(sigma, rate, steps, delta):
    spends = spent(PoissonGaussian(sigma, rate, steps), delta).epsilon
    slack = 0.01 + 0.01 * spends  # the mesh of one answer is not that of the other
    assert 0 <= spends < math.inf
    for other in (
        spent(PoissonGaussian(1.3 * sigma, rate, steps), delta),
        spent(PoissonGaussian(sigma, rate / 2, steps), delta),
        spent(PoissonGaussian(sigma, rate, max(1, steps // 2)), delta),
        spent(PoissonGaussian(sigma, rate, steps), min(0.5, 10 * delta)),
    ):
        assert 0 <= other.epsilon <= spends + slack


def test_too_little_noise_is_one_sentence():
    with pytest.raises(ConfigError, match="leaves no privacy"):
        spent(PoissonGaussian(1e-200, 0.5, 10), 1e-5)
    assert spent(PoissonGaussian(1e-6, 0.5, 10), 1e-5).epsilon < math.inf


def test_an_impossible_budget_is_one_sentence():
    with pytest.raises(ConfigError, match=r"epsilon=1e-06 cannot be .* fewer epochs"):
        noise_for(1e-6, 1.0, 10**9, 1e-7)


@pytest.mark.parametrize(("sigma", "rate", "steps"), [(0.7, 0.0116, 2580), (3.4, 0.32, 90)])
def test_the_mesh_is_that_of_opacus_but_for_rounding(sigma, rate, steps):
    """Ours is several times faster: opacus' own integral, transform and power are the reference."""
    mechanism, points = PoissonGaussian(sigma, rate, steps), losses._domain(12.0, 1e-3)
    loss = PoissonSubsampledGaussianPRV(rate, sigma)
    held = TruncatedPrivacyRandomVariable(loss, points.t_min, points.t_max)
    theirs = compose_heterogeneous([discretize(held, points)], [steps])
    ours = losses._repeated(losses._discrete(mechanism, points), steps)
    np.testing.assert_allclose(ours.pmf, theirs.pmf, atol=1e-12)
    assert ours.domain.t_min == pytest.approx(theirs.domain.t_min, abs=1e-6)


@pytest.mark.parametrize(("sigma", "rate"), [(0.7, 0.0116), (3.0, 1.0), (50.0, 0.5)])
def test_a_single_loss_is_that_of_an_array(sigma, rate):
    loss = losses._Loss(rate, sigma)
    points = np.linspace(-3, 6, 400)
    one_by_one = [loss.cdf(float(t)) for t in points]
    with np.errstate(divide="ignore"):  # log(0) at rate 1
        np.testing.assert_allclose(one_by_one, loss.cdf(points), atol=1e-12)


def test_calibration_takes_few_evaluations_on_a_mesh(monkeypatch):
    """22,000 members at epsilon 8 took seconds; the mesh is what takes time."""
    sizes = []
    plain = losses._composed

    def composed(mechanisms, domain, *args):
        sizes.append(domain.size)
        return plain(mechanisms, domain, *args)

    monkeypatch.setattr(losses, "_composed", composed)
    noise_for.__wrapped__(8.0, 256 / 22000, 86 * 30, accounting.default_delta(22000) * 1.0001)
    assert len(sizes) <= 3
    assert all(next_fast_len(size, real=True) == size for size in sizes)


@pytest.mark.parametrize("jump", [1.0, 100.0])
def test_a_search_that_meets_a_jump_ends_close_to_it(jump):
    """No sigma spends 99 to 100 % of the target; the search stops at a distance of 1 in 10,000."""
    tried = []

    def spend(sigma):
        tried.append(sigma)
        return 0.5 if sigma >= jump else 2.0

    found = accounting._bisect(spend, 1.0, 0.3 * jump, 4 * jump)
    assert jump <= found <= 1.0001 * jump
    assert len(tried) <= 20
