"""Attacks on adversarial examples: recipe-matched shadows, nulls, and a radius of zero."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tests.conftest import make_problem, make_system
from trustbench.evaluators.privacy.adversarial_membership import AdversarialMembership
from trustbench.methods.attacks import membership as mia
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.pgd import pgd
from trustbench.methods.attacks.evasion.targets import generators


@pytest.fixture(scope="module")
def overfit():
    return make_system(make_problem(n=900, d=20, shift=0.15), replicates=8, steps=120)


def named(measured):
    return {m.name: m for m in measured.measurements}


def test_overfit_replicates_leak_on_and_off_their_inputs(overfit):
    found = named(AdversarialMembership().measure(overfit))
    assert next(iter(found)) == "lira_auc_adv_0.1"
    for where in ("adv_0.1", "adv_0.2", "clean"):
        assert found[f"lira_auc_{where}"].values.min() > 0.6
        assert found[f"lira_auc_{where}"].diagnostic == (where == "clean")
        assert (found[f"member_acc_{where}"].values > found[f"non_member_acc_{where}"].values).all()
    for who in ("member", "non_member"):
        accuracy = [found[f"{who}_acc_{w}"].values.mean() for w in ("clean", "adv_0.1", "adv_0.2")]
        assert accuracy[0] > accuracy[1] > accuracy[2]
        assert found[f"{who}_acc_clean"].higher_is_better


def test_the_clean_attacks_are_those_of_the_rows_unmoved(overfit):
    """All rows: LiRA on the pool; the loss against scikit-learn's AUC of the cross-entropy."""
    X, y, _ = overfit.problem.rows("train")
    found = named(AdversarialMembership(points=10**4).measure(overfit))
    logits = overfit.forward(torch.as_tensor(X))
    lira = mia.lira(mia.logit_confidence(logits.numpy(), y), overfit.membership, online=True)
    expected = mia.each(mia.auc, lira, overfit.membership)
    np.testing.assert_allclose(found["lira_auc_clean"].values, expected, atol=1e-4)
    target = torch.as_tensor(y).expand(8, len(y)).flatten()
    loss = torch.nn.functional.cross_entropy(
        logits.double().flatten(0, 1), target, reduction="none"
    ).view(8, -1)
    expected = [roc_auc_score(m, -x) for m, x in zip(overfit.membership, loss, strict=True)]
    np.testing.assert_allclose(found["loss_auc_clean"].values, expected, atol=2e-3)
    # a radius of nothing moves nothing, and one of something does
    tiny = named(AdversarialMembership(points=10**4, radii=(1e-6,)).measure(overfit))
    np.testing.assert_allclose(
        tiny["lira_auc_adv_1e-06"].values, found["lira_auc_clean"].values, atol=2e-3
    )
    assert np.abs(found["lira_auc_adv_0.2"].values - found["lira_auc_clean"].values).max() > 5e-3


def test_every_replicate_answers_on_its_own_adversarial_examples(overfit):
    seen = []

    def forward(X):
        seen.append(X)
        return overfit.forward(X)

    AdversarialMembership(points=20, radii=(0.5,), steps=3).measure(
        dataclasses.replace(overfit, forward=forward)
    )
    attacked, clean = seen[-2:]
    assert (clean[0] == clean[1]).all()
    assert (attacked[0] != attacked[1]).any()
    allowed = 0.5 * torch.as_tensor(overfit.problem.per_column("scale"))
    assert ((attacked - clean).abs() <= allowed + 1e-5).all()


def test_shadows_answer_on_their_own_examples_of_a_row(overfit):
    """The attack made by hand; planted error: all answer on the target's examples."""
    evaluator = AdversarialMembership(points=10**4, radii=(0.5,), steps=4)
    X, y, _ = overfit.problem.rows("train")
    rows = overfit.streams.numpy("attacks", "membership_points").permutation(len(y))
    clean = torch.as_tensor(X[rows]).expand(8, *X.shape)
    threat = ThreatModel.of(overfit.problem, "linf", 0.5, clean)
    moved = pgd(
        overfit.forward, clean, torch.as_tensor(y[rows]), threat, generators(overfit, "membership"),
        steps=4, loss="ce", worst_by="ce",
    ).X  # fmt: skip
    member = overfit.membership[:, rows]

    def auc_of_first(inputs):
        phi = mia.logit_confidence(overfit.forward(inputs).numpy(), y[rows])
        return mia.each(mia.auc, mia.lira(phi, member, online=True), member)[0]

    found = named(evaluator.measure(overfit))["lira_auc_adv_0.5"].values[0]
    assert found == pytest.approx(auc_of_first(moved), abs=1e-4)
    assert abs(found - auc_of_first(moved[:1].expand_as(moved))) > 2e-3


def test_untrained_replicates_leak_nothing():
    found = named(
        AdversarialMembership(radii=(0.3,)).measure(
            make_system(make_problem(n=1500), replicates=8, steps=0)
        )
    )
    for name in ("lira_auc_adv_0.3", "loss_auc_adv_0.3", "lira_auc_clean"):
        assert abs(found[name].values.mean() - 0.5) < 0.03


def test_what_it_needs(system):
    frozen = tuple(dataclasses.replace(f, mutable=False) for f in system.problem.features)
    fixed = dataclasses.replace(
        system, problem=dataclasses.replace(system.problem, features=frozen)
    )
    assert "no column" in AdversarialMembership().supports(fixed)
    everything = np.ones_like(system.membership)
    reason = AdversarialMembership().supports(dataclasses.replace(system, membership=everything))
    assert reason.startswith("not applicable")
    assert AdversarialMembership().supports(system) is None
