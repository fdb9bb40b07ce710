"""The gate on hand-made pairs of records: what it decides, what it refuses, and how it says so."""

import json
import math
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from scipy import stats

from tests.unit.summary.builder import CRESSWELL, METRICS, full_table, method, record
from trustbench.compose import conf_dir
from trustbench.errors import UserError
from trustbench.summary.decisions import Outcome, decide, decide_verdict, digits, needed, worst
from trustbench.summary.effects import LARGEST_N, Kind, Verdict, paired_effect
from trustbench.summary.gate import gate_pair, gate_sweep, only
from trustbench.summary.policy import Block, Bound, load_policy, parse_policy
from trustbench.summary.render import gate_json, gate_junit, gate_markdown, gate_terminal
from trustbench.summary.render.gate_wording import measured, sentence
from trustbench.summary.table import summarize

RESEARCH = yaml.safe_load((conf_dir() / "policy" / "research.yaml").read_text())
SHIPPED = {n: load_policy(conf_dir() / "policy" / f"{n}.yaml") for n in ("default", "bank")}
DP = method("dpsgd", epsilon=3.0)
GAP, AUC = "fairness/acc_gap", "privacy/lira_auc"
SMALL = {m: 0.2 * sd for m, (_, sd, *_) in METRICS.items()}


def policy(*limits, block=(), **more):
    """A policy of these limits and rules, by which nothing open passes."""
    open_ = {"inconclusive": "inconclusive", "unmeasured": "inconclusive"}
    return parse_policy({**RESEARCH, **open_, "limits": limits, "block": block, **more}, "test")


def pair(asked, candidate, baseline=None):
    """The gate of a candidate (a record or several) against a baseline."""
    sides = [baseline or record(), candidate]
    sides = [side if isinstance(side, list) else [side] for side in sides]
    return gate_pair(*sides, CRESSWELL, asked)


def only_decision(gate):
    (candidate,) = gate.candidates
    (decision,) = candidate.decisions
    return decision


def refused(candidate, baseline=None, asked=None):
    """Why a pair is not comparable."""
    with pytest.raises(UserError) as caught:
        pair(asked or policy({"metric": GAP, "worse_by_at_most": 0.1}), candidate, baseline)
    said = str(caught.value)
    assert all(line.startswith("not comparable: ") for line in said.splitlines())
    return said


# --- twelve pairs ----------------------------------------------------------------------------


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
    e = rec.evaluations[f"{evaluator}-s1"]
    m = e.measurements[name]
    noise = np.random.default_rng(seed).normal(size=len(m.values))
    pseudo = np.mean(m.values) + sd * (noise - noise.mean())
    m = m.model_copy(update={"pseudo": pseudo.tolist()})
    e = e.model_copy(update={"measurements": {**e.measurements, name: m}})
    return rec.model_copy(update={"evaluations": {**rec.evaluations, f"{evaluator}-s1": e}})


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


# --- comparability ---------------------------------------------------------------------------


def test_other_regimes_seeds_protocols_and_settings_are_refused():
    assert "candidate was trained in another regime or with another seed (memorising, seed 0)" in (
        refused(record(DP, regime="memorising"))
    )
    assert "(tuned, seed 1)" in refused(record(DP, seed=1))
    said = refused(record(DP, settings="s2"))
    assert "evaluator fairness ran with other settings on one side: candidate fairness-s2" in said
    other = record(DP)
    protocol = {**other.arm.protocol, "inclusion": "all"}
    other = other.model_copy(update={"arm": other.arm.model_copy(update={"protocol": protocol})})
    assert "another protocol than record digits-none-none-tuned-0: inclusion=all and not half" in (
        refused(other)
    )
    assert "several records of one regime and seed" in refused([record(DP), record(ident="x")])


def test_every_reason_is_told_at_once():
    said = refused(record(DP, replicates=8, fingerprint="abc", dataset="adult"))
    assert len(said.splitlines()) == 3


def test_settings_of_evaluators_that_the_policy_does_not_read_do_not_matter():
    asked = policy({"metric": GAP, "worse_by_at_most": 0.1})
    candidate = record(DP)
    changed = {
        (k if not k.startswith("uncertainty") else "uncertainty-s2"): e
        for k, e in candidate.evaluations.items()
    }
    candidate = candidate.model_copy(update={"evaluations": changed})
    assert pair(asked, candidate).outcome is Outcome.PASS
    assert "evaluator uncertainty" in refused(
        candidate, asked=policy({"metric": "uncertainty", "worse_by_at_most": 0.1})
    )


def test_an_evaluator_with_several_settings_on_both_sides_is_refused():
    sides = []
    for r in (record(), record(DP)):
        e = r.evaluations["fairness-s1"]
        sides.append(r.model_copy(update={"evaluations": {**r.evaluations, "fairness-s2": e}}))
    assert "evaluator fairness ran with several settings on both sides" in (
        refused(sides[1], sides[0])
    )


def test_a_side_of_two_arms_is_refused():
    two = [record(DP), record(method("pgd_at", epsilon=0.1), regime="memorising")]
    with pytest.raises(
        UserError, match=r"different arms \(.* dpsgd epsilon=3; .* pgd_at epsilon=0.1\)"
    ):
        pair(policy(), two)


def test_a_record_against_itself_passes_and_says_so():
    gate = pair(policy({"metric": GAP, "worse_by_at_most": 0.0}), record())
    assert gate.outcome is Outcome.PASS
    assert gate.notes == (
        "record digits-none-none-tuned-0 is candidate and baseline: nothing changed.",
    )
    assert gate.candidates[0].against == "none (baseline)"


def test_a_regime_that_was_not_given_is_unmeasured_and_several_records_are_read_together():
    asked = policy(
        {"metric": "privacy", "worse_by_at_most": 0.02}, {"metric": GAP, "worse_by_at_most": 0.02}
    )
    gate = pair(asked, record(DP))
    assert [d.outcome for d in gate.candidates[0].decisions] == [Outcome.UNMEASURED, Outcome.PASS]
    assert gate.candidates[0].decisions[0].reason == (
        "needs dpsgd epsilon=3 with training=memorising"
    )
    both = [[record(*i, regime=r) for r in ("tuned", "memorising")] for i in ((), (DP,))]
    assert pair(asked, both[1], both[0]).outcome is Outcome.PASS


def test_pools_are_what_the_interval_of_several_seeds_rests_on():
    sides = [[record(*i, seed=s, noise={GAP: 0.03}) for s in (0, 1, 2)] for i in ((), (DP,))]
    d = only_decision(pair(policy({"metric": GAP, "worse_by_at_most": 0.0}), sides[1], sides[0]))
    assert (d.estimate.effect.n, d.estimate.effect.pools) == (48, 3)
    assert d.needs == "more data: no number of pools is enough"


# --- what was compared -----------------------------------------------------------------------


def test_an_arm_that_learnt_nothing_keeps_no_limit():
    floor = {"utility/balanced_accuracy": -0.84, GAP: -0.2}
    asked = policy({"metric": GAP, "at_most": 0.3}, {"metric": "utility", "worse_by_at_most": 1.0})
    gate = pair(asked, record(DP, shift=floor))
    gap, utility = gate.candidates[0].decisions
    assert gap.outcome is Outcome.UNMEASURED
    assert "learnt nothing" in gap.reason
    assert utility.outcome is Outcome.PASS  # it is measured by the floor's own evaluator


def test_a_baseline_with_a_method_is_compared_by_the_columns():
    dp8 = method("dpsgd", epsilon=8.0)
    block = [{"verdicts": ["harm"], "targets": ["fairness"]}]
    gate = pair(policy(block=block), record(DP, shift={GAP: 0.3}, noise=SMALL), record(dp8))
    d = only_decision(gate)
    assert (d.outcome, d.against) == (Outcome.VIOLATED, "dpsgd epsilon=8")


def test_verdicts_of_a_pair_are_by_holm_over_the_cells_that_may_block():
    block = [{"verdicts": ["harm"], "targets": ["fairness", "uncertainty", "robustness"]}]
    gate = pair(policy(block=block), record(DP, shift={GAP: 0.3}, noise=SMALL))
    found = gate.candidates[0].decisions
    p = sorted(d.estimate.effect.p for d in found)
    adjusted = sorted(d.estimate.p_adjusted for d in found)
    assert adjusted[0] == pytest.approx(3 * p[0])


def test_an_immaterial_harm_blocks_only_where_the_policy_says_so_and_a_benefit_never():
    tiny = {GAP: 0.005}
    for shift, verdicts, expected in (
        (tiny, ["harm"], Outcome.PASS),
        (tiny, ["harm", "significant but immaterial"], Outcome.VIOLATED),
        ({GAP: -0.005}, ["harm", "significant but immaterial"], Outcome.PASS),
    ):
        block = [{"verdicts": verdicts, "targets": ["fairness"]}]
        gate = pair(policy(block=block), record(DP, shift=shift, noise={GAP: 0.001}))
        assert only_decision(gate).estimate.verdict.text == "significant but immaterial"
        assert gate.outcome is expected


@pytest.mark.parametrize(
    ("verdicts", "interval", "outcome"),
    [
        (["harm"], (-0.05, 0.019), "pass"),
        (["harm"], (-0.05, 0.021), "inconclusive"),
        (["harm", "significant but immaterial"], (-0.05, 0.019), "inconclusive"),
        (["harm", "significant but immaterial"], (-0.05, -0.001), "pass"),
    ],
)
def test_what_is_inconclusive_passes_where_the_interval_rules_harm_out(verdicts, interval, outcome):
    low, high = interval
    unsure = SimpleNamespace(effect=(low + high) / 2, low=low, high=high)
    verdict = Verdict(Kind.INCONCLUSIVE, "needs n = 40")
    rule = Block(verdicts=verdicts)
    assert decide_verdict(verdict, unsure, rule, 0.02) == outcome


def test_the_margin_of_a_cell_is_that_of_its_metric():
    # the interval reaches beyond zero, and not to the column's margin of 0.02
    block = [{"verdicts": ["harm"], "targets": ["fairness"]}]
    candidate = record(DP, shift={GAP: -0.032}, noise={GAP: 0.045})
    d = only_decision(pair(policy(block=block), candidate))
    assert -0.05 < d.estimate.effect.low < -0.02
    assert 0 < d.estimate.effect.high < 0.02
    assert d.estimate.verdict.kind is Kind.INCONCLUSIVE
    assert (d.outcome, d.needs) == (Outcome.PASS, None)
    assert sentence(d).endswith("no harm: pass (the interval rules it out).")


def test_limits_relative_to_an_arm_and_to_a_stored_record():
    dp8 = method("dpsgd", epsilon=8.0)
    old = record(dp8, shift={GAP: 0.1}, noise={GAP: 0.01})
    arms = [record(), old, record(DP, shift={GAP: 0.3}, noise={GAP: 0.01})]
    by_record = policy({"metric": GAP, "worse_by_at_most": 0.1, "record": old.id})
    stored = {r.id: r for r in arms}
    gate = only(gate_sweep(arms, CRESSWELL, by_record, stored=stored), ["dpsgd epsilon=3"])
    d = only_decision(gate)
    assert (d.outcome, d.against) == (Outcome.VIOLATED, f"record {old.id}")
    assert d.estimate.effect.effect == pytest.approx(0.2, abs=0.02)
    with pytest.raises(UserError, match=r"compares with record .* not among the records read"):
        gate_sweep(arms, CRESSWELL, by_record)
    foreign = {old.id: old.model_copy(update={"replicates": 3})}
    with pytest.raises(UserError, match=r"not comparable: .* has 16 replicates, record .* 3"):
        gate_sweep(arms, CRESSWELL, by_record, stored=foreign)
    by_arm = policy({"metric": GAP, "worse_by_at_most": 0.1, "reference": "clip_only"})
    arms.append(record(method("clip_only"), shift={GAP: 0.25}, noise={GAP: 0.01}))
    gate = only(gate_sweep(arms, CRESSWELL, by_arm), ["dpsgd epsilon=3"])
    assert (gate.outcome, only_decision(gate).against) == (Outcome.PASS, "clip_only")


def test_a_released_channel_is_judged_against_its_own_null():
    conformal = method("conformal", alpha=0.1)
    block = [{"verdicts": ["harm"], "targets": ["fairness"]}]
    d = only_decision(pair(policy(block=block), record(conformal)))
    assert (d.cell, d.outcome) == ("U→F", Outcome.VIOLATED)
    assert d.against == d.estimate.against == "set_size_gap/gap_aps_permuted"
    assert "U→F set_size_gap/gap_aps - gap_aps_permuted (tuned): +" in sentence(d)


def test_combinations_and_other_bare_models_have_cells_of_their_own():
    block = [{"verdicts": ["harm"], "targets": ["fairness", "privacy"], "sources": ["privacy"]}]
    both = record(DP, method("pgd_at", epsilon=0.1))
    found = pair(policy(block=block), both).candidates[0].decisions
    assert [d.cell for d in found] == ["P+R→F", "P+R→P"]
    assert found[1].reason.endswith("pgd_at epsilon=0.1 with training=memorising")
    # a change of the training and of no method is no source's
    bare = record(shift={GAP: 0.3}, noise=SMALL, ident="changed")
    assert pair(policy(block=block), bare).candidates[0].decisions == ()
    del block[0]["sources"]
    found = pair(policy(block=block), bare).candidates[0].decisions
    assert [(d.cell, str(d.outcome)) for d in found] == [("→F", "violated"), ("→P", "unmeasured")]


def test_a_sweeps_cells_without_an_arm_in_their_regime_say_what_they_need():
    arms = [record(), record(DP), record(method("lime"), regime="memorising")]
    gate = gate_sweep(arms, CRESSWELL, SHIPPED["default"])
    dp, lime = ({d.cell: d for d in c.decisions} for c in gate.candidates)
    assert dp["P→P"].reason == "needs dpsgd epsilon=3 with training=memorising"
    assert lime["E→F"].reason == "needs lime with training=tuned"
    assert lime["E→E"].reason == "needs a metric registered for this cell"
    assert lime["E→utility"].estimate.metric == "utility/accuracy"


@pytest.mark.parametrize(
    ("metric", "regime", "read"),
    [
        ("privacy", None, ("privacy/lira_auc", "memorising", "P→P")),
        ("privacy", "tuned", ("privacy/lira_auc", "tuned", "P→P")),
        ("privacy/loss_auc", None, ("privacy/loss_auc", "memorising", "P→P")),
        ("fairness/worst_group_acc", None, ("fairness/worst_group_acc", "tuned", "P→F")),
        ("set_size_gap/gap_aps", None, ("set_size_gap/gap_aps", "tuned", "P→F")),
        ("my_own/number", None, ("my_own/number", "tuned", None)),
    ],
)
def test_a_limit_reads_its_metric_where_the_table_reads_it(metric, regime, read):
    asked = policy({"metric": metric, "at_most": 1, "regime": regime})
    d = only_decision(pair(asked, [record(DP, regime=r) for r in ("tuned", "memorising")]))
    assert (d.estimate.metric, d.estimate.regime, d.cell) == read


def test_what_stands_in_for_the_baseline_may_be_missing_or_failed():
    by_arm = policy({"metric": GAP, "worse_by_at_most": 0.1, "reference": "clip_only"})
    d = only_decision(gate_sweep([record(), record(DP)], CRESSWELL, by_arm))
    assert d.reason == "needs one arm intervention=clip_only, training=tuned"
    failed = record(status="failed", reason="out of memory")
    d = only_decision(pair(policy({"metric": GAP, "worse_by_at_most": 0.1}), record(DP), failed))
    assert d.reason == "failed (16 of 16): none: out of memory"
    short = [record(replicates=1), record(DP, replicates=1)]
    d = only_decision(pair(policy({"metric": GAP, "at_most": 0.1}), short[1], short[0]))
    assert d.reason == "needs at least 2 replicates"


# --- sweeps ----------------------------------------------------------------------------------


def test_a_sweep_gates_every_treated_arm_with_the_verdicts_that_the_table_prints():
    gate = gate_sweep(full_table(), CRESSWELL, SHIPPED["default"])
    (table,) = summarize(full_table(), CRESSWELL)
    assert [c.arm for c in gate.candidates] == [a.label for a in table.arms]
    printed = {
        (c.estimate.arm, c.target): c.verdict.text
        for c in (*table.cells, *table.utility)
        if c.estimate.records
    }
    seen = {
        (c.arm, target): d.estimate.verdict.text
        for c in gate.candidates
        for target, d in zip(
            ("fairness", "privacy", "robustness", "explainability", "uncertainty", "utility"),
            c.decisions,
            strict=True,
        )
    }
    assert printed.items() <= seen.items()
    assert {c.arm: str(c.outcome) for c in gate.candidates}["balanced_weights"] == "pass"
    assert gate.outcome is Outcome.VIOLATED


def test_arms_are_chosen_by_label():
    gate = gate_sweep(full_table(), CRESSWELL, SHIPPED["default"])
    assert only(gate, ["balanced_weights"]).outcome is Outcome.PASS
    with pytest.raises(UserError, match="did you mean 'balanced_weights'"):
        only(gate, ["balanced_weight"])


def test_a_sweep_without_treated_arms_is_refused():
    with pytest.raises(UserError, match="no treated arm to gate"):
        gate_sweep([record()], CRESSWELL, SHIPPED["default"])


# --- intervals -------------------------------------------------------------------------------


def effect(low, high):
    return SimpleNamespace(low=low, high=high)


@pytest.mark.parametrize(
    ("kind", "low", "high", "outcome"),
    [
        ("at_most", 0.1, 0.2, "pass"),
        ("at_most", 0.2, 0.3, "inconclusive"),
        ("at_most", 0.21, 0.3, "violated"),
        ("worse_by_at_most", -0.3, 0.2, "pass"),
        ("worse_by_at_most", 0.21, 0.3, "violated"),
        ("at_least", 0.2, 0.3, "pass"),
        ("at_least", 0.1, 0.2, "inconclusive"),
        ("at_least", 0.1, 0.19, "violated"),
    ],
)
def test_where_an_interval_lies_decides(kind, low, high, outcome):
    assert decide(effect(low, high), Bound(kind, 0.2)) == outcome


def test_an_arm_exactly_at_its_limit_passes_and_fails_as_rarely_as_documented():
    rng = np.random.default_rng(0)
    draws = rng.normal(0.2, 0.05, size=(4000, 10))
    found = [decide(paired_effect(d), Bound("at_most", 0.2)) for d in draws]
    for outcome in (Outcome.PASS, Outcome.VIOLATED):
        assert found.count(outcome) / 4000 == pytest.approx(0.025, abs=0.008)


def test_what_no_number_of_replicates_decides():
    d = np.array([0.1, 0.3, 0.2, 0.2])
    assert needed(paired_effect(d), 0.2) == f"n > {LARGEST_N}"
    assert needed(paired_effect(d, np.array([0, 1, 2, 3])), 0.2) == f"pools > {LARGEST_N}"
    assert needed(paired_effect(d, common_sd=0.1), 0.21) == "more points or pools: no n is enough"
    assert needed(paired_effect(d), 0.0) == "n = 5"


def test_decimals_show_on_which_side_an_interval_ends():
    d = SimpleNamespace(low=0.1, high=0.20004)
    assert digits(d, 0.2) == 5
    assert f"{d.high:.5f}" > "0.2"
    assert digits(SimpleNamespace(low=0.1, high=0.25), 0.2) == 3
    assert digits(d, None) == 3


def test_the_worst_outcome_is_that_of_the_whole():
    p, v, i = Outcome.PASS, Outcome.VIOLATED, Outcome.INCONCLUSIVE
    assert [worst(x) for x in ([], [p], [p, i], [i, v, p])] == [p, p, i, v]


# --- renderings ------------------------------------------------------------------------------

HOSTILE = "<b>\"'&]]>|`x` @you #1 \x1b[31m\x00\u202e\n## [l](u)"


def everything():
    """One gate with a decision of every outcome, and hostile names."""
    asked = policy(
        {"metric": GAP, "at_most": 0.1, "reason": HOSTILE},
        {"metric": GAP, "at_most": 0.9},
        {"metric": GAP, "worse_by_at_most": 0.02},
        {"metric": "fairness/class_sd", "at_most": 0.1},
        name=HOSTILE,
        description=HOSTILE,
    )
    sides = [
        record(*i, dataset=HOSTILE, shift=s, noise={GAP: 0.08})
        for i, s in (((), {}), ((method(HOSTILE, epsilon=1.0),), {GAP: 0.02}))
    ]
    return pair(asked, sides[1], sides[0])


def test_junit_has_the_shape_of_the_schema_and_escapes_names():
    text = gate_junit.text(everything())
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    (suite,) = root
    assert (suite.tag, set(suite.attrib)) == (
        "testsuite",
        {"name", "tests", "failures", "errors", "skipped", "time"},
    )
    kinds = []
    for case in suite:
        assert (case.tag, set(case.attrib)) == ("testcase", {"classname", "name", "time"})
        assert len(case) <= 1
        kinds += [child.tag for child in case]
        for child in case:
            assert child.attrib["message"]
            assert set(child.attrib) <= {"message", "type"}
    assert kinds == ["failure", "skipped", "error"]
    counted = {k: suite.attrib[k] for k in ("tests", "failures", "errors", "skipped")}
    assert counted == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    assert {k: root.attrib[k] for k in counted} == counted
    assert len({case.attrib["name"] for case in suite}) == len(suite)
    assert "<b>" in suite.attrib["name"]
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("inconclusive", "unmeasured", "kinds"),
    [
        ("pass", "pass", ["skipped", "skipped"]),
        ("fail", "fail", ["failure", "failure"]),
        ("inconclusive", "inconclusive", ["skipped", "error"]),
    ],
)
def test_junit_marks_open_questions_as_the_policy_counts_them(inconclusive, unmeasured, kinds):
    asked = policy(
        {"metric": GAP, "worse_by_at_most": 0.02},
        {"metric": "fairness/class_sd", "at_most": 0.1},
        inconclusive=inconclusive,
        unmeasured=unmeasured,
    )
    gate = pair(asked, record(DP, shift={GAP: 0.01}, noise={GAP: 0.06}))
    root = ET.fromstring(gate_junit.text(gate))
    assert [child.tag for case in root[0] for child in case] == kinds
    said = gate_terminal.text(gate)
    assert ("which the policy lets pass" in said) is (inconclusive == "pass")
    assert ("which the policy does not let pass" in said) is (inconclusive == "fail")


def test_markdown_escapes_names_and_keeps_its_tables_whole():
    text = gate_markdown.text(everything())
    for raw in ("<b>", "`x`", " @you", " #1", "\x1b", "\x00", "\u202e", "[l](u)"):
        assert raw not in text
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in text.splitlines() if line.startswith(("## policy ", "### &lt;b>"))
    ]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 4
    assert {line.replace("\\|", "").count("|") for line in rows} == {7}


def test_the_terminal_prints_no_control_characters_and_no_line_of_a_names_making():
    gate = everything()
    text = gate_terminal.text(gate)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert not any(line.startswith("##") for line in text.splitlines())
    marks = [line.strip()[0] for line in text.splitlines() if line.startswith("  ")]
    assert marks == ["▲", "·", "?", "="]


def test_json_holds_every_number_and_the_others_print_them_to_the_last_digit():
    gate = everything()
    data = json.loads(gate_json.text(gate))
    assert data["schema"] == 1
    assert data["outcome"] == "violated"
    assert data["policy"]["name"] == HOSTILE
    (candidate,) = data["candidates"]
    shown = [gate_terminal.text(gate), gate_markdown.text(gate), gate_junit.text(gate)]
    for d in candidate["decisions"]:
        if d["outcome"] == "unmeasured":
            assert d["effect"] is None
            assert d["reason"]
            continue
        signed = "+" if d["against"] else ""
        numbers = [f"{d[k]:{signed}.3f}" for k in ("effect", "low", "high")]
        text = f"{numbers[0]} [{numbers[1]}, {numbers[2]}] n={d['n']}"
        assert text in shown[0]
        assert text in shown[1]
        if d["outcome"] != "pass":
            assert text in shown[2]
    limits = [d["bound"] for d in candidate["decisions"]]
    assert limits[0] == {"kind": "at_most", "value": 0.1}


def test_a_policy_that_asks_nothing_passes_and_says_so():
    gate = pair(policy(), record(DP))
    assert gate.outcome is Outcome.PASS
    assert "asks nothing of it" in gate_terminal.text(gate)
    assert "asks nothing of it" in gate_markdown.text(gate)
    assert ET.fromstring(gate_junit.text(gate)).attrib["tests"] == "0"
