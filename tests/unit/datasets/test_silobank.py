"""The synthetic bank: exact counterfactuals, and what its causal model says."""

from pathlib import Path

import numpy as np
import pytest

from trustbench.contracts.seeding import Streams
from trustbench.datasets._credit_model import (
    MECHANISMS,
    NUMBERS,
    abduct,
    draw_age,
    predict,
    repayment_probability,
)
from trustbench.datasets.silobank import SiloBank
from trustbench.errors import DataError


@pytest.fixture(scope="module")
def bank():
    return SiloBank().load(Path("nowhere"), Streams(0))


def people(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    noise = {name: rng.standard_normal(n) for name in MECHANISMS}
    return draw_age(rng.standard_normal(n)), rng.integers(2, size=n), noise


def test_abduction_reads_back_the_noise():
    age, group, noise = people()
    found = abduct(predict(age, group, noise), group)
    for name in MECHANISMS:
        np.testing.assert_allclose(found[name], noise[name], atol=1e-8)


def scaled(bank, numbers, group):
    raw = np.stack([numbers[name] for name in NUMBERS], axis=1)
    return np.concatenate([(raw - bank.scm.mean) / bank.scm.deviation, np.eye(2)[group]], axis=1)


@pytest.mark.parametrize("target", [0, 1])
def test_counterfactuals_are_the_same_noise_in_the_other_group(bank, target):
    """Against the truth: the generator run again with the same noise and the group set."""
    age, group, noise = people()
    X = scaled(bank, predict(age, group, noise), group)
    other = np.full(len(age), target)
    truth = scaled(bank, predict(age, other, noise), other)
    np.testing.assert_allclose(bank.scm.counterfactual(X, target), truth, atol=1e-8)


def test_counterfactuals_are_exact_in_the_models_float32_space(bank):
    X, _, group = bank.rows("test")
    there = np.where((group == 0)[:, None], *(bank.scm.counterfactual(X, t) for t in (1, 0)))
    back = np.where((group == 0)[:, None], *(bank.scm.counterfactual(there, t) for t in (0, 1)))
    assert there.dtype == np.float32
    np.testing.assert_allclose(back, X, atol=1e-4)
    own = np.where((group == 0)[:, None], *(bank.scm.counterfactual(X, t) for t in (0, 1)))
    np.testing.assert_allclose(own, X, atol=1e-5)
    assert np.array_equal(there[:, 8:], 1 - X[:, 8:])


def test_only_effects_of_the_group_change(bank):
    X, _, group = bank.rows("test")
    moved = bank.scm.counterfactual(X[group == 0], 1) - X[group == 0]
    at = {f.name: f.columns[0] for f in bank.features}
    assert np.abs(moved[:, at["age"]]).max() < 1e-6
    lower = ("education", "log_income", "employment_years", "credit_history_years")
    assert all((moved[:, at[name]] < 0).all() for name in lower)
    higher = ("area_deprivation", "utilisation", "debt_to_income")
    assert all((moved[:, at[name]] > 0).all() for name in higher)


def test_repayment_does_not_read_the_group():
    age, group, noise = people()
    numbers = predict(age, group, noise)
    assert "group" not in numbers
    assert repayment_probability(numbers).shape == age.shape


def test_the_declared_magnitudes_hold():
    """The docstring's figures, on many draws: tenure, utilisation, schooling, income, history."""
    age, _, noise = people(50_000)
    zero, one = (predict(age, np.full(len(age), g), noise) for g in (0, 1))
    assert np.median(zero["employment_years"]) == pytest.approx(4, abs=0.5)
    assert np.median(zero["utilisation"]) == pytest.approx(0.30, abs=0.02)
    np.testing.assert_allclose(zero["education"] - one["education"], 0.7)
    pay = zero["log_income"] - one["log_income"]  # 15 % directly, and 0.07 through schooling
    np.testing.assert_allclose(pay, 0.15 + 0.10 * 0.7)
    assert np.median(age) == pytest.approx(43, abs=1)
    assert age.min() > 18
    assert age.max() < 80


def test_the_problem_is_labelled_synthetic_with_a_minority(bank):
    assert bank.card.synthetic
    assert "SYNTHETIC" in bank.card.description
    assert bank.groups == ("majority", "minority")
    assert (bank.group == 1).mean() == pytest.approx(0.15, abs=0.01)
    assert 0.6 < bank.y.mean() < 0.9
    assert bank.y[bank.group == 0].mean() > bank.y[bank.group == 1].mean()


def test_the_minority_share_is_a_setting():
    problem = SiloBank(rows=2000, minority=0.4).load(Path("nowhere"), Streams(0))
    assert len(problem.X) == 2000
    assert (problem.group == 1).mean() == pytest.approx(0.4, abs=0.05)


def test_a_group_that_does_not_exist_is_refused(bank):
    with pytest.raises(ValueError, match="groups 0 and 1"):
        bank.scm.counterfactual(bank.X[:3], 2)


def test_the_smallest_bank_still_has_everybody():
    try:
        SiloBank(rows=1000, minority=0.02).load(Path("nowhere"), Streams(0))
    except DataError as error:
        pytest.fail(f"the smallest allowed settings must load: {error}")
