"""DP-SGD: bounded contributions, the noise it states, and what it refuses."""

import numpy as np
import pytest
import torch

from trustbench.config.binding import bind
from trustbench.contracts import PoissonGaussian, Schedule
from trustbench.contracts.guarantees import is_claim
from trustbench.errors import ConfigError
from trustbench.interventions.privacy.clip_only import ClipOnly
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.privacy.dpsgd_global import DPSGDGlobal
from trustbench.interventions.privacy.dpsgd_global_adapt import DPSGDGlobalAdapt
from trustbench.interventions.privacy.noise_only import NoiseOnly
from trustbench.methods.privacy.composition import spent

SCHEDULE = Schedule("tuned", epochs=40, batch_size=64, lr=0.1, momentum=0.9, weight_decay=0.01)


def total(rule):
    """What all planned steps spend, as the ledger states it."""
    return spent([rule.read.mechanism], rule.read.delta)


def test_the_rule_brings_its_own_schedule():
    rule = DPSGD(epsilon=3.0, lr=0.5, momentum=0.0, epochs=7, batch_size=32).gradient(SCHEDULE, 400)
    assert (rule.schedule.sampling, rule.schedule.lr, rule.schedule.momentum) == (
        "poisson",
        0.5,
        0.0,
    )
    assert (rule.schedule.epochs, rule.schedule.batch_size) == (7, 32)
    assert rule.schedule.weight_decay == SCHEDULE.weight_decay
    inherited = DPSGD(epsilon=3.0, lr=None, epochs=None, batch_size=None).gradient(SCHEDULE, 400)
    assert (inherited.schedule.lr, inherited.schedule.epochs) == (0.1, 40)


def test_one_example_contributes_at_most_the_bound():
    rule = DPSGD(max_grad_norm=0.7).gradient(SCHEDULE, 400)
    norms = torch.tensor([[0.0, 1e-9, 3e-7, 9e-7, 1e-6, 0.5, 0.7, 70.0, 1e9]])
    found = rule.coefficients(norms, slice(None))
    assert ((found * norms).abs() <= 0.7).all()
    assert found[0, :6].tolist() == [1.0] * 6, "short gradients stay as they are"
    torch.testing.assert_close(found[0, 6:], 0.7 / (norms[0, 6:] + 1e-6), rtol=1e-6, atol=0)
    assert found[0, 6] < 1.0, "a gradient at the bound is shortened by what may be rounding"


def test_the_factor_of_a_tiny_norm_is_exact():
    """A bound as small as the summand that keeps the division finite shows its sign."""
    rule = DPSGD(max_grad_norm=1e-6).gradient(SCHEDULE, 400)
    norms = torch.tensor([[0.0, 1e-7, 9e-7, 1e-6, 4e-6]], dtype=torch.float64)
    found = rule.coefficients(norms, slice(None))
    expected = torch.tensor([[1.0, 1 / 1.1, 1 / 1.9, 0.5, 0.2]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


def test_noise_has_the_stated_scale_and_one_stream_per_replicate():
    rule = DPSGD(noise_multiplier=2.0, epsilon=None, max_grad_norm=0.5).gradient(SCHEDULE, 400)
    total = {"w": torch.zeros(3, 200, 50), "b": torch.zeros(3, 40)}
    generators = [torch.Generator().manual_seed(s) for s in (1, 2, 1)]
    out = rule.update(total, generators)
    noise = out["w"] * rule.expected_batch
    assert float(noise.std()) == pytest.approx(2.0 * 0.5, rel=0.02)
    np.testing.assert_array_equal(out["w"][0], out["w"][2])
    assert (out["w"][0] != out["w"][1]).any()


def test_without_noise_the_sum_is_divided_by_the_expected_batch():
    rule = ClipOnly(batch_size=64).gradient(SCHEDULE, 400)
    assert rule.expected_batch == pytest.approx(64)
    found = rule.update({"w": torch.full((2, 3), 32.0)}, [])
    torch.testing.assert_close(found["w"], torch.full((2, 3), 0.5))


def test_facts_name_everything_an_auditor_asks_for():
    rule = DPSGD(epsilon=3.0, epochs=10, batch_size=40).gradient(SCHEDULE, 400)
    facts = rule.facts()
    assert (facts["sample_rate"], facts["steps"]) == (0.1, 100)
    assert (facts["sampling"], facts["dp_noise"]) == ("poisson", "seeded")
    assert not any(map(is_claim, facts)), "what they guarantee is the ledger's to say"
    assert rule.read.mechanism == PoissonGaussian(rule.sigma, 0.1, 100)
    assert rule.read.delta == pytest.approx(400**-1.1)
    assert 2.9 < spent([rule.read.mechanism], rule.read.delta).epsilon <= 3.0


@pytest.mark.parametrize("given", [{"epsilon": None}, {"noise_multiplier": 1.0}])
def test_one_of_epsilon_and_noise_is_asked_for(given):
    with pytest.raises(ConfigError, match=r"intervention.dpsgd: .*; give one of them and set the"):
        bind(DPSGD, given, "intervention.dpsgd")


@pytest.mark.parametrize("method", [DPSGD, DPSGDGlobal, DPSGDGlobalAdapt])
@pytest.mark.parametrize("epsilon", [0.02, 19.0, 20.0])
def test_what_is_stated_never_exceeds_what_was_asked(method, epsilon):
    fields = {"sigma_bits": 1e3} if method is DPSGDGlobalAdapt else {}
    stated = total(method(epsilon=epsilon, epochs=5, **fields).gradient(SCHEDULE, 400))
    assert 0.985 * epsilon <= stated.epsilon <= epsilon


@pytest.mark.parametrize("method", [DPSGD, DPSGDGlobal, DPSGDGlobalAdapt, NoiseOnly])
@pytest.mark.parametrize("delta", [1 / 400, 0.9])
def test_a_delta_that_permits_publishing_a_member_is_refused(method, delta):
    with pytest.raises(ConfigError, match=r"with 400 members.*guarantees nothing; give a smaller"):
        method(delta=delta).gradient(SCHEDULE, 400)
    assert total(DPSGD(delta=0.999 / 400).gradient(SCHEDULE, 400)).epsilon <= 3


def test_a_tiny_delta_has_an_epsilon():
    stated = total(DPSGD(delta=1e-15).gradient(SCHEDULE, 400))
    assert 0.985 * 3 <= stated.epsilon <= 3
    assert stated.accountant == "rdp"
