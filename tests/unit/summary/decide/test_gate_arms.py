"""What a gate compares each arm with, in pairs and in sweeps."""

from types import SimpleNamespace

import pytest

from tests.unit.summary.builder import CRESSWELL, full_table, method, record
from tests.unit.summary.decide.gating import DP, GAP, SMALL, only_decision, pair, policy
from trustbench.config.compose import conf_dir
from trustbench.errors import UserError
from trustbench.summary.decide.decisions import Outcome, decide_verdict
from trustbench.summary.decide.gate import gate_sweep, only
from trustbench.summary.decide.gate_wording import sentence
from trustbench.summary.decide.policy import Block, load_policy
from trustbench.summary.stats.effects import Kind, Verdict
from trustbench.summary.table.arm_names import completed
from trustbench.summary.table.table import summarize

SHIPPED = {n: load_policy(conf_dir() / "policy" / f"{n}.yaml") for n in ("default", "bank")}


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
    # a change of the training and of no method belongs to no source
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
    assert only(gate, ["balanced_w"]) == only(gate, ["balanced_weights"])
    with pytest.raises(UserError, match="did you mean 'balanced_weights'"):
        only(gate, ["balanced_wieghts"])
    doses = {arm: frozenset({k}) for k, arm in enumerate(["dpsgd epsilon=1", "dpsgd epsilon=3"])}
    with pytest.raises(UserError, match=r"'dpsgd epsilon=1', 'dpsgd epsilon=3' begin with 'dpsgd'"):
        completed("dpsgd", doses)


def test_without_treated_arms_the_baseline_is_held_to_absolute_limits():
    asked = policy(
        {"metric": GAP, "at_most": 0.9, "worse_by_at_most": 0.1}, block=[{"verdicts": ["harm"]}]
    )
    gate = gate_sweep([record()], CRESSWELL, asked)
    decision = only_decision(gate)
    assert (decision.bound.kind, gate.outcome) == ("at_most", Outcome.PASS)
    assert gate.notes[-1].startswith("There is no treated arm: limits on change")
    strict = policy({"metric": GAP, "at_most": 0.0})
    assert gate_sweep([record()], CRESSWELL, strict).outcome is Outcome.VIOLATED


def test_without_treated_arms_a_policy_of_changes_is_refused():
    with pytest.raises(UserError, match="no treated arm, and policy default limits only changes"):
        gate_sweep([record()], CRESSWELL, SHIPPED["default"])
