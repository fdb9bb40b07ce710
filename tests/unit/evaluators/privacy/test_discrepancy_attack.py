"""Two models of one half: what the second adds, and that nothing is added by a copy."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.evaluators.privacy.discrepancy_attack import DiscrepancyAttack
from trustbench.methods.attacks import membership as mia


def named(measured):
    return {m.name: m for m in measured.measurements}


@pytest.fixture(scope="module")
def pair():
    """A nearly private arm whose baseline overfits the same halves."""
    problem = make_problem(n=900, d=20, shift=0.15)
    biased = make_system(problem, replicates=8, steps=120)
    fair = make_system(problem, replicates=8, steps=4, draw=1)
    np.testing.assert_array_equal(biased.membership, fair.membership)
    return dataclasses.replace(fair, baseline=lambda: biased)


def test_the_replaced_model_still_tells(pair):
    found = named(DiscrepancyAttack().measure(pair))
    assert next(iter(found)) == "fd_auc"
    gain = found["fd_auc"].values - found["fair_only_auc"].values
    assert gain.min() > 0.05
    # an output that says little costs little (its six shadows' means are noise)
    assert (found["fd_auc"].values - found["base_only_auc"].values).mean() > -0.05
    assert {n for n, m in found.items() if not m.diagnostic} == {"fd_auc", "fd_auc_minority"}


def test_the_null_is_the_lira_of_this_arm_alone(pair):
    y = pair.problem.rows("train")[1]
    phi = mia.logit_confidence(pair.split_logits("train").numpy(), y)
    lira = mia.lira(phi, pair.membership, online=True)
    expected = mia.each(mia.auc, lira, pair.membership)
    found = named(DiscrepancyAttack().measure(pair))
    np.testing.assert_allclose(found["fair_only_auc"].values, expected, atol=1e-4)
    np.testing.assert_allclose(
        found["fair_only_auc_minority"].values,
        mia.each(mia.auc, mia.within(lira, pair.problem.rows("train")[2] == 1), pair.membership),
        atol=1e-3,
    )


def test_a_method_that_changes_nothing_adds_nothing(system):
    found = named(DiscrepancyAttack().measure(system))  # its baseline has the same replicates
    for suffix in ("", "_minority"):
        np.testing.assert_allclose(
            found[f"fd_auc{suffix}"].values, found[f"fair_only_auc{suffix}"].values, atol=5e-3
        )
        np.testing.assert_allclose(
            found[f"fd_auc{suffix}"].values, found[f"fd_shuffled_auc{suffix}"].values, atol=5e-3
        )


def test_an_output_that_says_nothing_is_centred_at_its_null():
    """A second output of noise costs the attacker; the null costs the same, one output less."""
    gains, against_fewer = [], []
    for seed in range(6):
        problem = make_problem(n=500, d=20, shift=0.15, seed=seed)
        fair = make_system(problem, replicates=6, steps=60, seed=seed)
        noise = make_system(problem, replicates=6, steps=0, seed=seed, draw=1)
        logits = torch.randn(6, 200, 2, generator=torch.Generator().manual_seed(seed))
        noise._cache["train"] = logits
        found = named(
            DiscrepancyAttack().measure(dataclasses.replace(fair, baseline=lambda n=noise: n))
        )
        mean = {k: m.values.mean() for k, m in found.items()}
        gains.append(mean["fd_auc"] - mean["fd_shuffled_auc"])
        against_fewer.append(mean["fd_auc"] - mean["fair_only_auc"])
    error = np.std(gains, ddof=1) / 6**0.5
    assert abs(np.mean(gains)) < 3.5 * error
    assert np.mean(against_fewer) < -2 * error


def test_two_models_that_leak_nothing_score_one_half():
    problem = make_problem(n=1500)
    biased = make_system(problem, replicates=8, steps=0)
    fair = make_system(problem, replicates=8, steps=0, draw=1)
    found = named(DiscrepancyAttack().measure(dataclasses.replace(fair, baseline=lambda: biased)))
    assert abs(found["fd_auc"].values.mean() - 0.5) < 0.03


def test_small_groups_and_a_missing_baseline_are_reasons(pair):
    measured = DiscrepancyAttack(min_group=10**4).measure(pair)
    assert "needs two groups" in measured.missing["fd_auc_minority"]
    assert "fd_auc" in named(measured)
    alone = dataclasses.replace(pair, baseline=None)
    assert "the baseline" in DiscrepancyAttack().supports(alone)
    assert DiscrepancyAttack().supports(pair) is None
