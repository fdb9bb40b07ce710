"""The utility floor against a plain logistic regression: what it voids, what it marks."""

import json
import re

import pytest

from tests.unit.summary.builder import CRESSWELL, WITHIN, method, record
from tests.unit.summary.decide.gating import GAP, only_decision, pair, policy
from tests.unit.summary.table_data import DP3, PGD, P, R, one, without
from trustbench.contracts.aspects import Aspect
from trustbench.summary.cards.card import card
from trustbench.summary.decide import gate_terminal, select_json
from trustbench.summary.decide import select_text as select
from trustbench.summary.decide.decisions import Outcome
from trustbench.summary.decide.select import select as choose
from trustbench.summary.render import cell, csv_, json_, latex, markdown, marks, terminal
from trustbench.summary.report.page import document
from trustbench.summary.stats.effects import Kind
from trustbench.summary.table.results import UTILITY
from trustbench.summary.table.utility_floor import of_record

# a mean accuracy of .80, where the regression has .93
LOST = {"utility/accuracy": -0.15, "utility/balanced_accuracy": -0.15}
OVERFITTED = {**LOST, "utility/member_accuracy": 0.01}
UNDERTRAINED = {**LOST, "utility/member_accuracy": -0.15}
LIMIT = {"metric": GAP, "at_most": 0.9}
BELOW = "baseline undertrained: accuracy 0.80"


def below(**kwargs):
    """A baseline that learnt something, and less than the regression."""
    return record(shift=LOST, **kwargs)


def test_no_contrast_with_an_undertrained_baseline_claims_an_effect():
    arms = [below(), below(control="reseed"), record(DP3, noise=WITHIN), record(method("lime"))]
    result = one([*arms, record(method("conformal", alpha=0.1)), record(DP3, control="matched")])
    shown = [*result.cells, *result.utility, *result.reseed]
    measured = [c for c in shown if c.verdict.kind is not Kind.NOT_MEASURED]
    assert {c.verdict.kind for c in measured} == {Kind.NOT_APPLICABLE}
    assert result.cell(P, UTILITY) in measured, "or it claims a benefit of .15"
    assert result.cell(Aspect.EXPLAINABILITY, "fairness") in measured
    assert not result.exploratory
    verdict = result.cell(P, "fairness").verdict
    assert verdict.text.startswith(f"not applicable ({BELOW}")
    assert " < logistic regression 0.93" in verdict.text
    assert verdict.text.endswith(" less 0.05)")
    assert "training.epochs" in verdict.reason
    assert "training.lr" in verdict.reason
    for text in (terminal.text([result]), terminal.text([result], width=80)):
        assert BELOW in " ".join(text.split())
    assert BELOW in markdown.text([result])
    [told] = [c for c in json_.document([result])["cells"] if c["verdict_kind"] == "not applicable"
              and (c["source"], c["target"]) == ("privacy", "fairness")]  # fmt: skip
    assert told["effect"] is None
    assert "training.epochs" in told["reason"]


def test_factorials_and_mitigations_claim_nothing_either():
    arms = [record(m, noise=WITHIN) for m in (DP3, PGD)]
    both = record(DP3, PGD, noise=WITHIN)
    assert one([record(), *arms, both]).factorials
    assert not one([below(), *arms, both]).factorials


def test_a_healthy_baseline_is_compared_as_ever():
    result = one([record(), record(DP3, noise=WITHIN, shift={"fairness/acc_gap": 0.5})])
    assert result.cell(P, "fairness").verdict.kind is Kind.HARM
    assert result.cell(P, "fairness").estimate.below_floor is None
    assert not [n for n in result.notes if "floor" in n]
    assert "below" not in terminal.text([result]).split("Notes")[0].replace("beyond", "")


def test_a_treated_arm_below_the_floor_keeps_its_effects_and_is_marked():
    private = record(DP3, noise=WITHIN, shift={**LOST, "fairness/acc_gap": 0.5})
    result = one([record(), private, record(PGD, noise=WITHIN)])
    found = result.cell(P, "fairness")
    assert found.verdict.kind is Kind.HARM
    assert found.estimate.below_floor.startswith("accuracy 0.80")
    assert result.cell(P, UTILITY).verdict.kind is Kind.HARM
    assert result.cell(R, "fairness").estimate.below_floor is None
    [row] = [a for a in result.arms if a.below_floor]
    assert row.label == "dpsgd epsilon=3"
    [note] = [n for n in result.notes if "below the utility floor" in n]
    assert note.startswith("dpsgd epsilon=3 (tuned) is below the utility floor: accuracy 0.80")


def shown(records):
    result = one(records)
    yield terminal.text([result])
    yield terminal.text([result], width=80)
    yield markdown.text([result])
    yield json.dumps(json_.document([result]))
    yield csv_.text([result])
    yield latex.text([result])
    yield cell.cell_text(CRESSWELL, P, Aspect.FAIRNESS, [result])
    yield document([result], records, None, lambda _: {})


def test_every_rendering_shows_the_mark():
    private = record(DP3, noise=WITHIN, shift={**LOST, "fairness/acc_gap": 0.5})
    for marked, plain in zip(
        shown([record(), private]), shown([record(), record(DP3)]), strict=True
    ):
        assert "below floor" in marked or "below_floor" in marked or "below the utility" in marked
        assert "accuracy 0.80" in " ".join(marked.split())
        assert "accuracy 0.80" not in plain


def test_models_that_memorise_may_lose_test_accuracy_by_it():
    arms = [
        record(shift=OVERFITTED, regime="memorising"),
        record(DP3, regime="memorising", noise={"privacy/lira_auc": 0.01}),
    ]
    assert one(arms).cell(P, "privacy").estimate.effect is not None
    arms[0] = record(shift=UNDERTRAINED, regime="memorising")
    verdict = one(arms).cell(P, "privacy").verdict
    assert "accuracy 0.80" in verdict.text
    assert " and member accuracy 0.84" in verdict.text


def test_where_the_regression_is_at_chance_nothing_is_below_it():
    half = {
        "utility/accuracy": -0.43, "utility/balanced_accuracy": -0.33,
        "utility/logistic_balanced_accuracy": -0.40,
    }  # fmt: skip
    two, noise = ("no", "yes"), {"fairness/eo_gap": 0.03}
    private = record(DP3, shift=half, classes=two, noise=noise)
    result = one([record(shift=half, classes=two), private])
    assert result.cell(P, "fairness").estimate.effect is not None
    assert result.cell(P, "fairness").estimate.below_floor is None


@pytest.mark.parametrize(("loss", "marked"), [(-0.065, False), (-0.075, True)])
def test_the_margin_is_the_tables(loss, marked):
    """The regression has .93, the baseline .95: the floor is at .88."""
    private = record(DP3, shift={"utility/accuracy": loss}, noise=WITHIN)
    estimate = one([record(), private]).cell(P, "fairness").estimate
    assert (estimate.below_floor is not None) == marked


def test_records_without_the_regression_are_noted():
    arms = [without(record(), "utility/logistic_balanced_accuracy"),
            without(record(DP3), "utility/logistic_balanced_accuracy")]  # fmt: skip
    [note] = [n for n in one(arms).notes if "floor" in n]
    assert "not checked against a logistic regression" in note


def test_a_gate_decides_nothing_against_an_undertrained_baseline():
    asked = policy({"metric": GAP, "worse_by_at_most": 0.9})
    assert only_decision(pair(asked, record(DP3))).outcome is Outcome.PASS
    decision = only_decision(pair(asked, record(DP3), below()))
    assert decision.outcome is Outcome.UNMEASURED
    assert BELOW in decision.reason


def test_a_gate_says_that_the_candidate_is_below():
    gate = pair(policy(LIMIT), record(DP3, shift=LOST))
    assert any("dpsgd epsilon=3 (tuned) is below the utility floor" in n for n in gate.notes)


def test_the_line_that_decides_is_marked():
    gate = pair(policy(LIMIT), record(DP3, shift=LOST))
    assert marks.BELOW_FLOOR in gate_terminal.text(gate)
    assert marks.BELOW_FLOOR not in gate_terminal.text(pair(policy(LIMIT), record(DP3)))


def test_a_choice_marks_an_arm_below_the_floor():
    arms = [record(), record(DP3, shift=LOST), record(PGD, noise=WITHIN)]
    [found] = choose(arms, CRESSWELL, policy(LIMIT))
    for text in (select.terminal([found], []), select.markdown([found], [])):
        assert re.search(r"dpsgd epsilon=3 ! below floor", text)
        assert "pgd_at epsilon=0.1 !" not in text.replace("\\", "")
        assert "dpsgd epsilon=3 (tuned) is below the utility floor" in text
    told = {
        a["arm"]: a["below_floor"]
        for a in select_json.document([found], [])["selections"][0]["arms"]
    }
    assert told["dpsgd epsilon=3"].startswith("tuned: accuracy 0.80")
    assert told["none"] is None


def test_the_card_of_a_model_below_the_floor_says_so():
    lost = record(DP3, shift=LOST)
    assert card(lost, {}, [record(), lost], CRESSWELL).below_floor.startswith("accuracy 0.80")
    assert card(record(), {}, [record()], CRESSWELL).below_floor is None


def test_a_single_record_is_held_against_the_floor():
    evaluations = list(record().evaluations)
    assert of_record(below(), CRESSWELL.floor, evaluations).startswith("accuracy 0.80")
    assert of_record(record(), CRESSWELL.floor, evaluations) is None
    assert of_record(record(status="failed"), CRESSWELL.floor, evaluations) is None
