"""Each attacker against what is known of it; the measured epsilon stays below the accountant's."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from tests.conftest import make_problem, make_system
from trustbench.contracts import Schedule
from trustbench.evaluators.privacy.membership_attacks import MembershipAttacks
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.methods.privacy.accounting import PoissonGaussian, rdp


@pytest.fixture(scope="module")
def overfit():
    """Eight replicates that interpolate noisy halves of a pool of 240."""
    return make_system(make_problem(n=600, d=20, shift=0.15), replicates=8, steps=120)


@pytest.fixture(scope="module")
def measured(overfit):
    return MembershipAttacks().measure(overfit)


def named(measured):
    return {m.name: m for m in measured.measurements}


def test_every_attacker_finds_overfit_replicates(measured, overfit):
    found = named(measured)
    assert list(found) == [
        "rmia_auc", "rmia_offline_auc", "shadow_auc", "label_only_auc", "loss_advantage",
        "epsilon_lower",
    ]  # fmt: skip
    for name in ("rmia_auc", "rmia_offline_auc", "shadow_auc"):
        assert found[name].values.mean() > found["label_only_auc"].values.mean() > 0.6
    assert found["loss_advantage"].values.mean() > 0.15
    assert found["epsilon_lower"].values.mean() > 0.5
    assert not any(m.higher_is_better for m in found.values())
    assert {name for name, m in found.items() if m.diagnostic} == {"epsilon_lower"}
    assert measured.facts["epsilon_lower_pooled"] > found["epsilon_lower"].values.mean()


def test_the_label_only_attack_is_scikit_learns_auc_of_being_right(measured, overfit):
    X, y, _ = overfit.problem.rows("train")
    right = overfit.forward(torch.as_tensor(X)).argmax(-1).numpy() == y
    expected = [roc_auc_score(m, r) for m, r in zip(overfit.membership, right, strict=True)]
    np.testing.assert_allclose(named(measured)["label_only_auc"].values, expected)
    wrong = [roc_auc_score(m, ~r) for m, r in zip(overfit.membership, right, strict=True)]
    assert np.abs(named(measured)["label_only_auc"].values - wrong).min() > 0.1  # planted: side


def test_rmia_of_one_target_ranks_rows_by_their_ratio(measured, overfit):
    """For one target the population only rescales: the AUC is that of p / mean reference p."""
    y, member = overfit.problem.rows("train")[1], overfit.membership
    p = softmax(overfit.split_logits("train").double().numpy(), -1)[:, np.arange(len(y)), y]
    ratio = p[0] / p[2:].mean(0)
    assert named(measured)["rmia_auc"].values[0] == pytest.approx(
        roc_auc_score(member[0], ratio), abs=0.02
    )


def test_untrained_replicates_leak_nothing():
    found = named(
        MembershipAttacks().measure(make_system(make_problem(n=900), replicates=8, steps=0))
    )
    for name in ("rmia_auc", "rmia_offline_auc", "shadow_auc", "label_only_auc"):
        assert abs(found[name].values.mean() - 0.5) < 0.03
    assert abs(found["loss_advantage"].values.mean()) < 0.03
    assert found["epsilon_lower"].values.max() == 0.0


def private_system(noise):
    """Full-batch DP-SGD (every row in every step) of logistic replicates by its own rule."""
    system = make_system(make_problem(n=900, d=200, shift=0.02), replicates=8, steps=0)
    X, y, _ = system.problem.rows("train")
    steps, members = 30, int(system.membership.sum(1).min())
    schedule = Schedule("memorising", epochs=steps, batch_size=members, lr=1.0)
    plugin = DPSGD(epsilon=None, noise_multiplier=noise, epochs=steps, batch_size=members)
    rule = plugin.gradient(schedule, members)
    x = torch.as_tensor(np.c_[X, np.ones(len(X))], dtype=torch.float32)
    member = torch.as_tensor(system.membership, dtype=torch.float32)
    generators = [torch.Generator().manual_seed(r) for r in range(8)]
    w = torch.zeros(8, x.shape[1])
    for _ in range(steps):
        residual = (torch.sigmoid(w @ x.T) - torch.as_tensor(y)) * member
        norms = residual.abs() * x.norm(dim=1)
        scaled = residual * rule.coefficients(norms, slice(None))
        w = w - rule.schedule.lr * rule.update({"w": scaled @ x}, generators)["w"]

    def forward(X):
        z = torch.nn.functional.pad(X.flatten(-1), (0, 1), value=1.0) @ w.T
        return torch.stack([torch.zeros_like(z.T), z.T], dim=-1)

    claimed = rdp(PoissonGaussian(noise, 1.0, steps), rule.delta)
    facts = {"epsilon": claimed, "delta": rule.delta, "accountant": "rdp"}
    return dataclasses.replace(system, forward=forward, facts=facts)


@pytest.mark.parametrize("noise", [0.05, 20.0])
def test_of_a_private_system_the_measured_bound_is_below_the_accountants(noise):
    system = private_system(noise)
    measured = MembershipAttacks().measure(system)
    lower = named(measured)["epsilon_lower"].values
    assert (lower <= measured.facts["epsilon_accounted"]).all()
    assert measured.facts["epsilon_lower_pooled"] <= measured.facts["epsilon_accounted"]
    assert measured.facts["epsilon_lower_delta"] == system.facts["delta"]
    assert (lower == 0).all() == (noise == 20.0)  # and little noise is caught


def test_an_arm_that_claims_nothing_is_audited_for_pure_epsilon(measured):
    assert measured.facts["epsilon_accounted"] is None
    assert measured.facts["epsilon_lower_delta"] == 0.0


def test_too_few_replicates_leave_reasons():
    measured = MembershipAttacks().measure(make_system(make_problem(), replicates=2, steps=20))
    assert list(named(measured)) == ["label_only_auc"]
    for name in ("rmia_auc", "rmia_offline_auc", "shadow_auc", "loss_advantage"):
        assert "give at least 4" in measured.missing[name]
    assert "give at least 6" in measured.missing["epsilon_lower"]
