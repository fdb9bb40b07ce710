"""Epsilon against published values and a second accountant."""

import pytest

from trustbench.errors import ConfigError
from trustbench.training import accounting

# Esipova et al. 2023, MNIST: n = 54,676, B = 256, sigma .8, 60 epochs, delta 1e-6.
ESIPOVA = {"sigma": 0.8, "rate": 256 / 54676, "steps": 12780, "delta": 1e-6}


def test_epsilon_of_esipova_2023_is_the_published_one():
    assert accounting.epsilon("rdp", **ESIPOVA) == pytest.approx(5.90, abs=0.005)
    assert accounting.epsilon("prv", **ESIPOVA) == pytest.approx(5.43, abs=0.005)


def test_prv_is_reported_and_is_below_rdp():
    value, accountant = accounting.best_epsilon(**ESIPOVA)
    assert accountant == "prv"
    assert value < accounting.epsilon("rdp", **ESIPOVA)


@pytest.mark.parametrize("target", [0.5, 3.0, 8.0, 30.0])
def test_calibrated_noise_spends_the_target_and_no_more(target):
    rate, steps, delta = 128 / 430, 90, 1.3e-3
    sigma = accounting.noise_for(target, rate, steps, delta)
    spent, accountant = accounting.best_epsilon(sigma, rate, steps, delta)
    assert 0.985 * target <= spent <= target
    assert accountant == ("rdp" if target > accounting.PRV_LIMIT else "prv")
    # The answer is tight: 3 % less noise overspends.
    assert accounting.best_epsilon(0.97 * sigma, rate, steps, delta)[0] > target


def test_an_impossible_budget_is_one_sentence():
    with pytest.raises(ConfigError, match=r"epsilon=1e-06 cannot be reached .* fewer epochs"):
        accounting.noise_for(1e-6, 1.0, 100000, 1e-5)
