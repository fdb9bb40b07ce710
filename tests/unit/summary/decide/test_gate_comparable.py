"""What the gate refuses to compare, and what it reads together."""

import pytest

from tests.unit.summary.builder import method, record
from tests.unit.summary.decide.gating import DP, GAP, only_decision, pair, policy, refused
from trustbench.errors import UserError
from trustbench.summary.decide.decisions import Outcome


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
    named = r"\(.* dpsgd epsilon=3; .* pgd_at epsilon=0.1 \(memorising\)\)"
    with pytest.raises(UserError, match=f"different arms {named}"):
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
