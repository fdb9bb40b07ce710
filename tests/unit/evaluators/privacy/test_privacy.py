"""The privacy evaluator: what it measures, what it refuses, and its controls."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tests.conftest import make_problem, make_system
from trustbench.evaluators.privacy.privacy import Privacy
from trustbench.methods.attacks import membership as mia


@pytest.fixture(scope="module")
def overfit():
    """Eight replicates that interpolate noisy halves of a pool of 240."""
    return make_system(make_problem(n=600, d=20, shift=0.15), replicates=8, steps=120)


@pytest.fixture(scope="module")
def measured(overfit):
    return Privacy().measure(overfit)


def named(measured):
    return {m.name: m for m in measured.measurements}


def test_overfit_replicates_leak_and_the_control_does_not(measured, overfit):
    found = named(measured)
    assert measured.measurements[0].name == "strongest_auc"
    assert found["lira_auc"].values.min() > 0.6
    assert found["lira_auc"].values.mean() > found["loss_auc"].values.mean() > 0.5
    assert found["loss_gap"].values.min() > 0
    assert abs(found["shuffled_auc"].values.mean() - 0.5) < 0.05
    assert found["shuffled_auc"].diagnostic
    assert all(len(m.values) == overfit.replicates for m in measured.measurements)
    assert not any(m.higher_is_better for m in measured.measurements)
    assert not any("epsilon" in name for name in found)


def test_loss_auc_equals_scikit_learn_on_the_losses(measured, overfit):
    X, y, _ = overfit.problem.rows("train")
    logits = overfit.forward(torch.as_tensor(X)).double()
    target = torch.as_tensor(y).expand(8, len(y)).flatten()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target, reduction="none")
    expected = [
        roc_auc_score(m, -x) for m, x in zip(overfit.membership, loss.view(8, -1), strict=True)
    ]
    # float32 logits: confident rows may tie where log1p(exp(-phi)) is 0 in one form only
    np.testing.assert_allclose(named(measured)["loss_auc"].values, expected, atol=2e-3)


def test_rates_need_enough_non_members(measured):
    assert "lira_tpr_1" in named(measured)  # 120 non-members
    assert measured.facts["lira_tpr_1_false_positives"] == 1
    assert "needs 1000 non-members; a replicate has 120" in measured.missing["lira_tpr_01"]
    assert measured.arrays["roc_tpr"].shape == (8, len(measured.arrays["roc_fpr"]))
    assert (measured.arrays["roc_fpr"] * 120 >= 0.99).all()
    assert (np.diff(measured.arrays["roc_tpr"], axis=1) >= 0).all()


def test_group_aucs_are_those_of_each_group_alone(measured):
    found, arrays = named(measured), measured.arrays
    values = np.stack([arrays["lira_auc_group_0"], arrays["lira_auc_group_1"]])
    np.testing.assert_array_equal(found["lira_auc_worst_group"].values, values.max(0))
    np.testing.assert_array_equal(found["lira_auc_gap"].values, np.ptp(values, axis=0))


def test_small_groups_are_declared_and_missing(overfit):
    measured = Privacy(min_group=100).measure(overfit)
    assert measured.facts["group_too_small_1"] == "g1"
    assert "members and non-members each" in measured.missing["lira_auc_gap"]
    assert "lira_auc" in named(measured)


def test_too_few_replicates_leave_no_shadows_but_the_loss_attack():
    measured = Privacy().measure(make_system(make_problem(), replicates=2, steps=20))
    assert {m.name for m in measured.measurements} == {"loss_auc", "loss_gap"}
    for name in ("lira_auc", "lira_offline_auc", "lira_tpr_1", "lira_tpr_01", "shuffled_auc"):
        assert "give at least 4" in measured.missing[name]


def test_no_non_members_is_not_applicable(system):
    everything = np.ones_like(system.membership)
    reason = Privacy().supports(dataclasses.replace(system, membership=everything))
    assert reason is not None
    assert reason.startswith("not applicable")
    assert "needs non-members" in reason
    assert Privacy().supports(system) is None


def test_an_untrained_system_scores_one_half():
    measured = named(Privacy().measure(make_system(make_problem(n=900), replicates=8, steps=0)))
    for name in ("lira_auc", "lira_offline_auc", "loss_auc"):
        values = measured[name].values
        assert abs(values.mean() - 0.5) < 0.03


def test_minority_and_majority_are_the_smallest_and_largest_group():
    system = make_system(make_problem(n=1500, d=20, shift=0.15), replicates=4, steps=60)
    measured = Privacy().measure(system)
    found, y, group = named(measured), *system.problem.rows("train")[1:]
    assert measured.facts["minority"] == "g1"
    lira = mia.lira(
        mia.logit_confidence(system.split_logits("train").numpy(), y),
        system.membership,
        online=True,
    )
    for g, name in ((1, "lira_auc_minority"), (0, "lira_auc_majority")):
        rows = group == g
        expected = [
            roc_auc_score(m[rows], s[rows])
            for m, s in zip(system.membership, lira.values, strict=True)
        ]
        np.testing.assert_allclose(found[name].values, expected)
    assert "needs 100 non-members" in measured.missing["lira_tpr_1_minority"]
    assert found["lira_auc_minority"].n == (group == 1).sum()


def test_the_worst_of_ten_random_groups_is_that_high_on_an_untrained_system():
    """A maximum over ten AUCs of some thirty rows each: far above one half, and so is its null."""
    problem = make_problem(n=900, groups=10)
    found = named(Privacy().measure(make_system(problem, replicates=8, steps=0)))
    for name, least in (("lira_auc_worst_group", 0.6), ("lira_auc_gap", 0.2)):
        null = found[found[name].null]
        assert null.values.mean() > least
        # the groups mean nothing: one draw of what random groups show
        assert abs(found[name].values.mean() - null.values.mean()) < 3 * null.common_sd
        assert null.diagnostic
        assert null.permuted.std(ddof=1) == pytest.approx(null.common_sd)


def test_a_group_that_leaks_more_is_above_its_null(overfit):
    """Planted: rows of one group are told apart by the outputs alone."""
    problem = dataclasses.replace(
        overfit.problem,
        group=np.arange(len(overfit.problem.group)) % 8,
        groups=tuple(map(str, range(8))),
    )
    n = len(problem.splits["train"])
    marked = problem.rows("train")[2] == 0
    logits = torch.randn(8, n, 2, generator=torch.Generator().manual_seed(0))
    y = problem.rows("train")[1]
    for r in range(8):
        logits[r, marked & overfit.membership[r], y[marked & overfit.membership[r]]] += 9
    system = dataclasses.replace(overfit, problem=problem)
    system._cache["train"] = logits
    found = named(Privacy().measure(system))
    worst = found["lira_auc_worst_group"]
    null = found[worst.null]
    assert worst.values.mean() - null.values.mean() > 4 * null.common_sd
