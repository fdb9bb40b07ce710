"""A pair in which nothing could show is not applicable, and never shows that there is no effect."""

import numpy as np
import pytest

from tests.unit.summary.builder import CRESSWELL, method, record
from tests.unit.summary.decide.gating import only_decision, pair, policy
from tests.unit.summary.table_data import DP3, E, P, U, one, with_measurements
from trustbench.summary.decide.decisions import Outcome
from trustbench.summary.decide.gate import gate_sweep
from trustbench.summary.render import markdown, terminal
from trustbench.summary.stats.effects import Kind, paired_effect, tost_p
from trustbench.summary.stats.verdicts import judge

RACC, GAP = "robustness/racc", "fairness/acc_gap"
LIME, SETS = method("lime"), method("conformal", alpha=0.001)
HARM = {GAP: 0.1, "uncertainty/ece": 0.02, "utility/accuracy": -0.02}


def constant(rec, **values):
    """The record with metrics that have one value on every replicate."""
    for metric, value in values.items():
        evaluator, name = metric.split("__")
        m = rec.evaluations[f"{evaluator}-s1"].measurements[name]
        same = m.model_copy(update={"values": [value] * len(m.values)})
        rec = with_measurements(rec, evaluator, **{name: same})
    return rec


def test_a_metric_at_its_bound_on_both_sides_is_not_applicable():
    arms = [constant(r, robustness__racc=1.0) for r in (record(), record(DP3, shift=HARM))]
    estimate = one(arms).cell(P, "robustness").estimate
    assert estimate.effect is None
    assert estimate.verdict.text == "not applicable (constant at 1)"
    assert "on both sides of all 16 replicates, its upper bound" in estimate.verdict.why


def test_a_metric_at_its_bound_on_one_side_alone_still_shows():
    arms = [constant(record(), robustness__racc=1.0), record(DP3, shift=HARM)]
    assert one(arms).cell(P, "robustness").verdict.kind is Kind.HARM


def test_a_constant_difference_is_a_finding_and_too_small_a_one_is_no_equivalence():
    base = constant(record(), robustness__racc=0.9)
    large, small = (constant(record(DP3), robustness__racc=v) for v in (0.5, 0.895))
    assert one([base, large]).cell(P, "robustness").verdict.kind is Kind.HARM
    assert one([base, small]).cell(P, "robustness").verdict.kind is Kind.NOT_APPLICABLE


def test_sets_that_hold_every_label_show_nothing():
    full = constant(record(SETS), set_size_gap__gap_aps=0.0, set_size_gap__gap_aps_permuted=0.0)
    full = constant(full, set_attack__coverage_attacked_aps=1.0, set_attack__coverage_clean_aps=1.0)
    result = one([record(), full])
    assert result.cell(U, "fairness").verdict.text == "not applicable (constant at 0)"
    assert result.cell(U, "robustness").verdict.text == "not applicable (constant at 1)"


def test_sizes_of_sets_that_hold_every_label_say_how_many_rows_are_needed():
    needed = "alpha=0.001 needs at least 999 calibration rows, there are 126: every set holds ..."

    def full(rec):
        rec = constant(rec, utility__balanced_accuracy=1.0)
        m = rec.evaluations["utility-s1"].measurements["balanced_accuracy"]
        trivial = m.model_copy(update={"trivial": needed})
        return with_measurements(rec, "utility", balanced_accuracy=trivial)

    result = one([full(record()), full(record(DP3, shift=HARM))])
    [cell] = [c for c in result.utility if c.source is P]
    [beside] = cell.secondary
    assert beside.effect is None
    assert beside.verdict.text == f"not applicable ({needed})"
    for text in (terminal.text([result], 200), markdown.text([result]).replace("\\", "")):
        lines = [x for x in text.splitlines() if "every set holds ..." in x]
        assert any("P→utility" in x and "utility/balanced_accuracy" in x for x in lines)
    released = one([full(record()), full(record(LIME))])
    [cell] = [c for c in released.utility if c.source is E]
    assert cell.secondary[0].verdict.detail == needed, "not that the method changed nothing"
    one_side = one([record(), full(record(DP3, shift=HARM))])
    [cell] = [c for c in one_side.utility if c.source is P]
    assert cell.secondary[0].effect is not None, "against sets that say something, sizes show"


def test_a_release_that_changes_no_decision_is_unchanged_by_construction():
    [cell] = [c for c in one([record(), record(LIME)]).utility if c.source is E]
    assert cell.estimate.effect is None
    assert cell.verdict.text == "not applicable (unchanged by construction)"
    assert "lime deploys the replicates that it is compared with" in cell.verdict.why


def test_a_reseed_control_that_equals_the_baseline_says_so():
    result = one([record(), record(control="reseed")])
    [cell] = [c for c in result.reseed if c.target == "robustness"]
    assert cell.verdict.kind is Kind.NOT_APPLICABLE
    assert "training does not depend on the seed here" in cell.verdict.why


@pytest.mark.parametrize("difference", [0.0, 0.005, -0.005])
def test_equivalence_is_never_shown_without_spread(difference):
    effect = paired_effect(np.full(8, difference))
    assert tost_p(effect, 0.01) == 1
    assert judge(effect, 0.01, effect.p).kind is Kind.NOT_APPLICABLE


def test_an_inert_method_passes_limits_on_the_difference_and_verdicts_that_block():
    block = ({"verdicts": ["harm"], "targets": ["utility"]},)
    asked = policy({"metric": "utility", "worse_by_at_most": 0.01}, block=block)
    gate = gate_sweep([record(), record(LIME)], CRESSWELL, asked)
    assert gate.outcome is Outcome.PASS
    assert all(
        d.reason.startswith("unchanged by construction: lime") for d in gate.candidates[0].decisions
    )


def test_a_metric_that_could_not_move_passes_no_limit_on_the_difference():
    sides = [constant(r, fairness__acc_gap=0.0) for r in (record(DP3, shift=HARM), record())]
    decided = only_decision(pair(policy({"metric": GAP, "worse_by_at_most": 0.02}), *sides))
    assert (decided.outcome, decided.counts_as) == (Outcome.UNMEASURED, Outcome.INCONCLUSIVE)
    assert "nothing could show" in decided.reason
