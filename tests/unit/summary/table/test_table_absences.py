"""Cells without a number: every one says why, and what to run."""

import pytest

from tests.unit.summary.builder import (
    CRESSWELL,
    NO_CHANNEL,
    WITHIN,
    full_table,
    method,
    record,
)
from tests.unit.summary.table_data import (
    DP3,
    E,
    F,
    P,
    R,
    one,
    with_evaluation,
    without,
)
from trustbench.errors import UserError
from trustbench.summary.stats.effects import Kind
from trustbench.summary.table.table import summarize


@pytest.fixture(scope="module")
def full():
    return one(full_table())


def test_missing_regime_says_what_to_run():
    result = one([record(), record(DP3)])
    assert result.cell(P, "privacy").verdict.text == (
        "not measured (needs intervention=dpsgd, training=memorising)"
    )


def test_missing_rows_and_baselines_say_what_to_run():
    result = one([record(DP3)])
    assert result.cell(F, "robustness").verdict.text == (
        "not measured (needs intervention=balanced_weights)"
    )
    assert result.cell(P, "robustness").verdict.text == (
        "not measured (needs the baseline arm (intervention=none), training=tuned)"
    )
    assert result.family == 0


def test_absent_matched_control_is_noted(full):
    assert full.cell(R, "fairness").beyond_reason == "not measured (needs control=matched)"
    assert (
        "Beyond matched accuracy, balanced_weights (memorising), dpsgd epsilon=3 (memorising), "
        "pgd_at epsilon=0.1 (tuned): not measured (needs control=matched)."
    ) in full.notes


def test_a_failed_matched_control_says_so():
    bad = record(DP3, control="matched", status="failed", reason="no snapshot is that good")
    cell = one([record(), record(DP3, noise=WITHIN), bad]).cell(P, "fairness")
    assert cell.beyond_matched is None
    assert cell.beyond_reason == "failed (16 of 16): the matched arm: no snapshot is that good"


def test_seeds_without_a_baseline_are_left_out_and_said():
    result = one([record(), record(DP3, noise=WITHIN), record(DP3, seed=5, noise=WITHIN)])
    assert result.cell(P, "fairness").estimate.effect.n == 16
    assert any("left out seed 5" in n for n in result.notes)


def test_an_arm_that_learnt_nothing_has_meaningless_cells_but_its_utility():
    dead = record(
        DP3, shift={"utility/balanced_accuracy": -0.83, "utility/accuracy": -0.8}, noise=WITHIN
    )
    result = one([record(), dead])
    verdict = result.cell(P, "fairness").verdict
    assert verdict.text.startswith("not applicable (learnt nothing: balanced accuracy 0.0")
    assert result.cell(P, "fairness").estimate.effect is None
    assert result.cell(P, "utility").verdict.text == "harm"
    assert not [e for e in result.exploratory if e.metric == "fairness/acc_gap"]


def test_a_baseline_that_learnt_nothing_voids_its_contrasts():
    dead = record(shift={"utility/balanced_accuracy": -0.83})
    assert one([dead, record(DP3)]).cell(P, "fairness").verdict.kind is Kind.NOT_APPLICABLE


def test_chance_depends_on_the_number_of_classes():
    half = {"utility/balanced_accuracy": -0.40, "robustness/racc": -0.1}
    arms = [record(classes=("no", "yes")), record(DP3, shift=half, classes=("no", "yes"))]
    assert one(arms).cell(P, "robustness").verdict.kind is Kind.NOT_APPLICABLE
    arms = [record(), record(DP3, shift=half)]
    assert one(arms).cell(P, "robustness").verdict.kind is not Kind.NOT_APPLICABLE


def test_unchecked_floor_is_noted():
    result = one([record(drop=("utility",)), record(DP3, drop=("utility",))])
    assert any("utility floor was not checked" in n for n in result.notes)


@pytest.mark.parametrize(
    ("status", "facts", "text"),
    [
        ("failed", {"diverged": 3}, "failed (3 of 16)"),
        ("failed", {}, "failed (16 of 16)"),
        ("timeout", {}, "failed (16 of 16)"),
        ("unsupported", {}, "not applicable (because)"),
        ("started", {}, "not measured (needs dpsgd epsilon=3 to finish; run the sweep again)"),
    ],
)
def test_arms_without_numbers(status, facts, text):
    result = one([record(), record(DP3, status=status, reason="because", facts=facts)])
    assert result.cell(P, "fairness").verdict.text == text


def test_one_failed_seed_fails_the_cell_and_counts_replicates_over_seeds():
    arms = [record(seed=0), record(seed=1), record(DP3, seed=0)]
    bad = record(DP3, seed=1, status="failed", reason="boom", facts={"diverged": 2})
    cell = one([*arms, bad]).cell(P, "fairness")
    assert cell.verdict.text == "failed (2 of 32)"
    assert "boom" in cell.estimate.reason


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("failed", "failed (16 of 16)"),
        ("timeout", "failed (16 of 16)"),
        ("unsupported", "not applicable (because)"),
        ("started", "not measured (needs evaluator fairness to finish on dpsgd epsilon=3;"),
    ],
)
def test_evaluators_without_numbers(status, text):
    dp = with_evaluation(record(DP3), "fairness", status=status, reason="because", measurements={})
    assert one([record(), dp]).cell(P, "fairness").verdict.text.startswith(text)


def test_absent_evaluators_and_metrics_say_so():
    base = record()
    cell = one([base, record(DP3, drop=("fairness",))]).cell(P, "fairness")
    assert cell.verdict.text == "not measured (needs evaluator=fairness on dpsgd epsilon=3)"
    dp = without(record(DP3), "fairness/acc_gap", "group 8 has 3 rows")
    assert one([base, dp]).cell(P, "fairness").verdict.text == "not applicable (group 8 has 3 rows)"
    dp = without(record(DP3), "fairness/acc_gap")
    assert (
        "which evaluator fairness did not return"
        in one([base, dp]).cell(P, "fairness").estimate.reason
    )


def test_unsupported_channels_are_not_applicable():
    plain = method("lime").model_copy(update={"name": "lime"})
    rec = with_evaluation(
        record(plain), "fidelity_gap", status="unsupported", reason=NO_CHANNEL, measurements={}
    )
    assert one([rec]).cell(E, "fairness").verdict.text == f"not applicable ({NO_CHANNEL})"


def test_one_replicate_is_too_few():
    cell = one([record(replicates=1), record(DP3, replicates=1)]).cell(P, "fairness")
    assert cell.verdict.text == "not measured (needs at least 2 replicates)"


def test_unequal_replicates_are_refused():
    dp = record(DP3)
    m = dp.evaluations["fairness-s1"].measurements["acc_gap"]
    fewer = m.model_copy(update={"values": m.values[:-1]})
    dp = with_evaluation(dp, "fairness", measurements={"acc_gap": fewer})
    with pytest.raises(UserError, match="different numbers of replicates"):
        one([record(), dp])


def test_no_records_no_tables():
    assert summarize([], CRESSWELL) == []
