"""Twelve pairs of records made by hand: what the gate decides of each, and in which words."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.unit.summary.builder import record
from tests.unit.summary.decide.gating import (
    AUC,
    DP,
    GAP,
    SMALL,
    only_decision,
    pair,
    policy,
    refused,
)
from tests.unit.summary.table_data import with_measurements
from trustbench.summary.decide.decisions import Outcome
from trustbench.summary.decide.gate_wording import measured, sentence
from trustbench.summary.stats.effects import paired_effect


def test_1_a_clear_pass():
    gate = pair(
        policy({"metric": GAP, "at_most": 0.3, "worse_by_at_most": 0.02}),
        record(DP, shift={GAP: 0.001}, noise={GAP: 0.005}),
    )
    assert [d.outcome for d in gate.candidates[0].decisions] == [Outcome.PASS] * 2
    assert gate.outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("metric", "bound", "shift"),
    [(GAP, {"at_most": 0.3}, 0.2), ("robustness/racc", {"at_least": 0.4}, -0.3)],
)
def test_2_an_absolute_limit_is_violated(metric, bound, shift):
    candidate = record(DP, shift={metric: shift})
    gate = pair(policy({"metric": metric, **bound}), candidate)
    d = only_decision(gate)
    assert gate.outcome is d.outcome is Outcome.VIOLATED
    evaluator, name = metric.split("/")
    values = candidate.evaluations[f"{evaluator}-s1"].measurements[name].values
    low, high = stats.t.interval(0.95, 15, np.mean(values), stats.sem(values))
    assert (d.estimate.effect.low, d.estimate.effect.high) == pytest.approx((low, high))
    assert d.against is None


@pytest.mark.parametrize(("metric", "shift"), [(GAP, 0.2), ("robustness/racc", -0.2)])
def test_3_a_relative_limit_is_violated_in_units_of_harm(metric, shift):
    noise = {metric: 0.02}
    gate = pair(
        policy({"metric": metric, "worse_by_at_most": 0.1}),
        record(DP, shift={metric: shift}, noise=noise),
    )
    d = only_decision(gate)
    assert gate.outcome is d.outcome is Outcome.VIOLATED
    assert d.estimate.effect.effect == pytest.approx(0.2, abs=0.02)
    assert d.against == "none"
    assert sentence(d) == (
        f"{d.cell} {metric} (tuned) against none: {measured(d)}, worse by at most 0.1: violated."
    )


def test_4_an_interval_across_the_limit_is_inconclusive_and_says_the_n_needed():
    gate = pair(
        policy({"metric": GAP, "worse_by_at_most": 0.02}),
        record(DP, shift={GAP: 0.01}, noise={GAP: 0.06}),
    )
    d = only_decision(gate)
    f = d.estimate.effect
    assert f.low < 0.02 < f.high
    assert gate.outcome is d.outcome is Outcome.INCONCLUSIVE

    def resolved(n):
        quantiles = stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1)
        return quantiles * f.sd / math.sqrt(n) <= abs(f.effect - 0.02)

    n = int(d.needs.removeprefix("n = "))
    assert resolved(n)
    assert n == f.n + 1 or not resolved(n - 1)
    assert f"inconclusive (needs n = {n})" in sentence(d)


def test_5_a_missing_metric_is_unmeasured_with_its_reason():
    asked = policy({"metric": GAP, "at_most": 0.3}, {"metric": "fairness/class_sd", "at_most": 0.1})
    gate = pair(asked, record(DP, drop=["fairness"]))
    found = gate.candidates[0].decisions
    assert [d.outcome for d in found] == [Outcome.UNMEASURED] * 2
    assert found[0].reason == "needs evaluator=fairness on dpsgd epsilon=3"
    assert gate.outcome is Outcome.INCONCLUSIVE
    d = only_decision(pair(policy({"metric": "fairness/class_sd", "at_most": 0.1}), record(DP)))
    assert "fairness/class_sd, which evaluator fairness did not return" in d.reason


def test_6_a_failed_arm_is_unmeasured_and_says_how_many_failed():
    failed = record(DP, status="failed", reason="3 diverged", facts={"diverged": 3})
    asked = {"metric": GAP, "at_most": 0.3, "worse_by_at_most": 0.1}
    gate = pair(policy(asked), failed)
    assert [d.outcome for d in gate.candidates[0].decisions] == [Outcome.UNMEASURED] * 2
    assert {d.reason for d in gate.candidates[0].decisions} == {
        "failed (3 of 16): dpsgd epsilon=3: 3 diverged"
    }
    assert gate.outcome is Outcome.INCONCLUSIVE
    assert pair(policy(asked, unmeasured="fail"), failed).outcome is Outcome.VIOLATED
    assert pair(policy(asked, unmeasured="pass"), failed).outcome is Outcome.PASS


def test_7_another_dataset_is_refused():
    assert "is of dataset adult, record" in refused(record(DP, dataset="adult"))
    said = refused(record(DP, dataset_params={"rows": 9}))
    assert "dataset digits has other settings in record" in said
    assert '"rows":9.0' in said


def test_8_other_data_of_the_same_settings_are_refused():
    said = refused(record(DP, fingerprint="abc"))
    assert "measured on different data: fingerprints digits0tuned and abc" in said


def test_9_another_number_of_replicates_is_refused():
    assert "has 8 replicates, record digits-none-none-tuned-0 16" in refused(
        record(DP, replicates=8)
    )


def test_10_intervals_rest_on_pseudo_values_where_there_are_any():
    spread = {AUC: 0.3}
    plain = [record(regime="memorising"), record(DP, regime="memorising", shift={AUC: -0.1})]
    asked = policy({"metric": "privacy", "at_most": 0.6, "worse_by_at_most": 0.0})
    gate = pair(asked, plain[1], plain[0])
    assert [d.outcome for d in gate.candidates[0].decisions] == [Outcome.PASS] * 2
    loose = [with_pseudo(r, AUC, spread[AUC], i) for i, r in enumerate(plain)]
    gate = pair(asked, loose[1], loose[0])
    own, relative = gate.candidates[0].decisions
    assert [d.outcome for d in (own, relative)] == [Outcome.INCONCLUSIVE] * 2
    pseudo = [np.array(r.evaluations["privacy-s1"].measurements["lira_auc"].pseudo) for r in loose]
    assert own.estimate.effect == paired_effect(pseudo[1])
    assert relative.estimate.effect == paired_effect(pseudo[1] - pseudo[0])


def with_pseudo(rec, metric, sd, seed):
    """The record with pseudo-values of the same mean and a larger spread."""
    evaluator, name = metric.split("/")
    m = rec.evaluations[f"{evaluator}-s1"].measurements[name]
    noise = np.random.default_rng(seed).normal(size=len(m.values))
    pseudo = np.mean(m.values) + sd * (noise - noise.mean())
    spread = m.model_copy(update={"pseudo": pseudo.tolist()})
    return with_measurements(rec, evaluator, **{name: spread})


def test_11_a_drop_of_utility_is_violated_by_its_target():
    shift = {"utility/accuracy": -0.05}
    gate = pair(
        policy({"metric": "utility", "worse_by_at_most": 0.02}),
        record(DP, shift=shift, noise={"utility/accuracy": 0.005}),
    )
    d = only_decision(gate)
    assert (d.outcome, d.cell, d.estimate.metric) == (
        Outcome.VIOLATED,
        "P→utility",
        "utility/accuracy",
    )


def test_12_a_verdict_of_harm_blocks():
    block = [{"verdicts": ["harm"], "targets": ["fairness", "uncertainty"]}]
    candidate = record(DP, shift={GAP: 0.3}, noise=SMALL)
    gate = pair(policy(block=block), candidate)
    fairness, uncertainty = gate.candidates[0].decisions
    assert (fairness.outcome, fairness.cell) == (Outcome.VIOLATED, "P→F")
    assert uncertainty.outcome is Outcome.PASS
    assert gate.outcome is Outcome.VIOLATED
    assert sentence(fairness) == (
        f"P→F fairness/acc_gap (tuned) against none: {measured(fairness)}, no harm: "
        "violated (harm)."
    )
    # the same harm under a rule about other methods
    block[0]["sources"] = ["robustness"]
    gate = pair(policy(block=block), candidate)
    assert (gate.outcome, gate.candidates[0].decisions) == (Outcome.PASS, ())
