"""A measurement that is known to mislead keeps no limit, and hides no violation."""

import json
import xml.etree.ElementTree as ET

import pytest

from tests.unit.summary.builder import CRESSWELL, full_table, record
from tests.unit.summary.decide.gating import DP, GAP, SMALL, only_decision, pair, policy
from tests.unit.summary.table_data import with_measurements
from trustbench.errors import ConfigError
from trustbench.store.labels import label
from trustbench.store.records import MeasurementRecord
from trustbench.summary.decide import gate_json, gate_junit, gate_markdown, gate_terminal
from trustbench.summary.decide.decisions import Outcome
from trustbench.summary.decide.gate import gate_pair, gate_sweep, only
from trustbench.summary.decide.gate_wording import measured, sentence
from trustbench.summary.decide.policy import parse_policy

RACC = "robustness/racc"
OWN = {"metric": RACC, "at_least": 0.3}
RELATIVE = {"metric": "robustness", "worse_by_at_most": 0.1}
BLOCK = [{"verdicts": ["harm"], "targets": ["robustness"]}]


def masked(rec, raised=3):
    """The record, with `raised` replicates that hide their gradients."""
    values = [1.0] * raised + [0.0] * (rec.replicates - raised)
    flags = MeasurementRecord(
        values=values, higher_is_better=False, unit="flag", n=300, diagnostic=True
    )
    racc = rec.evaluations["robustness-s1"].measurements["racc"]
    return with_measurements(rec, "robustness", masking=flags, racc_cond=racc)


def arm(shift=0.0):
    return record(DP, shift={RACC: shift}, noise=SMALL)


@pytest.mark.parametrize("limit", [OWN, RELATIVE])
def test_a_limit_that_would_be_kept_is_unreliable_and_open(limit):
    assert pair(policy(limit), arm()).outcome is Outcome.PASS
    gate = pair(policy(limit), masked(arm()))
    d = only_decision(gate)
    assert (gate.outcome, d.outcome, d.counts_as) == (
        Outcome.INCONCLUSIVE, Outcome.UNRELIABLE, Outcome.INCONCLUSIVE,
    )  # fmt: skip
    assert sentence(d).endswith(
        "unreliable: robustness/masking in 3 of 16 replicates of dpsgd epsilon=3."
    )


def test_flags_that_are_all_down_change_nothing():
    assert pair(policy(OWN, RELATIVE), masked(arm(), raised=0)).outcome is Outcome.PASS


def test_a_masked_baseline_counts_in_a_difference_and_not_in_an_arms_own_mean():
    baseline = masked(record(), raised=16)
    own, relative = pair(policy(OWN, RELATIVE), arm(), baseline).candidates[0].decisions
    assert own.outcome is Outcome.PASS
    assert own.unreliable is None
    assert relative.outcome is Outcome.UNRELIABLE
    assert relative.unreliable == "robustness/masking in 16 of 16 replicates of none"


@pytest.mark.parametrize("limit", [OWN, RELATIVE])
def test_a_violation_stays_one_and_says_what_warns(limit):
    gate = pair(policy(limit), masked(arm(-0.45)))
    d = only_decision(gate)
    assert (gate.outcome, d.outcome) == (Outcome.VIOLATED, Outcome.VIOLATED)
    assert "violated: unreliable: robustness/masking in 3 of 16 replicates" in sentence(d)


def test_what_is_open_already_stays_so():
    d = only_decision(pair(policy({"metric": RACC, "at_least": 0.53}), masked(record(DP))))
    assert d.estimate.effect.low < 0.53 < d.estimate.effect.high
    assert (d.outcome, d.needs is not None) == (Outcome.INCONCLUSIVE, True)


def test_no_verdict_of_a_misleading_measurement_shows_that_there_is_no_harm():
    assert pair(policy(block=BLOCK), arm()).outcome is Outcome.PASS
    gate = pair(policy(block=BLOCK), masked(arm()))
    assert (gate.outcome, only_decision(gate).outcome) == (
        Outcome.INCONCLUSIVE, Outcome.UNRELIABLE,
    )  # fmt: skip
    harmed = pair(policy(block=BLOCK), masked(arm(-0.3)))
    assert harmed.outcome is Outcome.VIOLATED


@pytest.mark.parametrize(
    ("answer", "outcome", "said", "kind"),
    [
        ("pass", Outcome.PASS, "unreliable, which the policy lets pass: ", "skipped"),
        ("fail", Outcome.VIOLATED, "unreliable, which the policy does not let pass: ", "failure"),
        ("inconclusive", Outcome.INCONCLUSIVE, "unreliable: ", "skipped"),
    ],
)
def test_the_policy_says_what_it_makes_of_it(answer, outcome, said, kind):
    gate = pair(policy(OWN, unreliable=answer), masked(arm()))
    assert gate.outcome is outcome
    d = only_decision(gate)
    assert f"{said}robustness/masking in 3 of 16" in sentence(d)
    assert f"! P→R {RACC} (tuned): {measured(d)}" in gate_terminal.text(gate)
    assert "**unreliable" in gate_markdown.text(gate)
    root = ET.fromstring(gate_junit.text(gate))
    assert [child.tag for case in root[0] for child in case] == [kind]
    told = json.loads(gate_json.text(gate))["candidates"][0]["decisions"][0]
    assert (told["outcome"], told["counts_as"]) == ("unreliable", str(outcome))
    assert told["unreliable"].startswith("robustness/masking in 3 of 16")


def test_strict_is_what_a_policy_is_that_does_not_say():
    data = policy(OWN).model_dump(mode="json", exclude={"unreliable"})
    assert parse_policy(data, "silent").unreliable == "inconclusive"
    with pytest.raises(
        ConfigError, match=r"unreliable is 'note'; Available: fail, inconclusive, pass"
    ):
        parse_policy({**data, "unreliable": "note"}, "wrong")


def test_metrics_that_the_warning_is_not_about_are_read_as_ever():
    asked = policy(
        {"metric": GAP, "at_most": 0.9}, {"metric": "robustness/racc_cond", "at_most": 1}
    )
    fair, beside = pair(asked, masked(arm())).candidates[0].decisions
    assert (fair.outcome, fair.unreliable) == (Outcome.PASS, None)
    assert beside.outcome is Outcome.UNRELIABLE, "a secondary metric of the same attack"


def test_a_sweep_and_a_stored_record_are_read_the_same_way():
    arms = [masked(r) if label(r.arm).startswith("dpsgd") else r for r in full_table()]
    gate = only(gate_sweep(arms, CRESSWELL, policy(block=BLOCK)), ["balanced_weights"])
    assert gate.outcome is Outcome.PASS
    old = masked(record(DP, ident="old", noise=SMALL), raised=1)
    asked = policy({**RELATIVE, "record": "old"})
    new = record(DP, ident="new", noise=SMALL)
    gate = gate_pair([record()], [new], CRESSWELL, asked, {"old": old})
    assert only_decision(gate).unreliable == (
        "robustness/masking in 1 of 16 replicates of record old"
    )
