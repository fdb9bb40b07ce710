"""The 5x5 table: which effect each cell prints, of which arms."""

import subprocess
import sys

import pytest
from scipy import stats

from tests.unit.summary.builder import (
    CRESSWELL,
    WITHIN,
    full_table,
    method,
    record,
)
from tests.unit.summary.table_data import (
    DP3,
    DP8,
    PGD,
    E,
    P,
    one,
    values,
    with_evaluation,
)
from trustbench.contracts.aspects import Aspect
from trustbench.errors import UserError
from trustbench.store.records import MeasurementRecord
from trustbench.summary.stats.effects import Kind
from trustbench.summary.stats.multiplicity import holm
from trustbench.summary.table.table import summarize


@pytest.fixture(scope="module")
def full():
    return one(full_table())


def test_every_cell_is_there_with_a_verdict_and_a_number_or_a_reason(full):
    assert [(c.source, c.target) for c in full.cells] == [
        (s, t.value) for s in Aspect for t in Aspect
    ]
    assert len(full.utility) == 5
    assert len(full.reseed) == 6
    for cell in (*full.cells, *full.utility, *full.reseed):
        assert (cell.estimate.effect is None) == (cell.estimate.reason is not None)
        if cell.estimate.effect:
            assert cell.estimate.records
            assert cell.estimate.regime


def test_effects_are_paired_differences_in_units_of_harm():
    base, dp = record(), record(DP3, shift={"robustness/racc": -0.2}, noise=WITHIN)
    result = one([base, dp])
    for target, metric, sign in (
        ("fairness", "fairness/acc_gap", 1),
        ("robustness", "robustness/racc", -1),
    ):
        reference = stats.ttest_rel(sign * values(dp, metric), sign * values(base, metric))
        ci = reference.confidence_interval(0.95)
        e = result.cell(P, target).estimate.effect
        assert (e.p, e.low, e.high) == pytest.approx((reference.pvalue, ci.low, ci.high))
    assert result.cell(P, "robustness").estimate.effect.effect == pytest.approx(0.2, abs=0.02)
    assert result.cell(P, "robustness").verdict.text == "harm"


def test_holm_covers_the_measured_off_diagonal_cells(full):
    tests = [c for c in full.cells if c.estimate.effect and not c.registered.diagonal]
    assert full.family == len(tests) == 14
    expected = holm([c.estimate.effect.p for c in tests])
    assert [c.estimate.p_adjusted for c in tests] == pytest.approx(expected)
    assert all(c.estimate.p_adjusted is None for c in full.cells if c.registered.diagonal)


def test_expected_sign_does_not_decide():
    flipped = CRESSWELL.model_copy(
        update={
            "cells": tuple(c.model_copy(update={"expected": "benefit"}) for c in CRESSWELL.cells)
        }
    )
    [a], [b] = summarize(full_table(), CRESSWELL), summarize(full_table(), flipped)
    assert [c.verdict for c in a.cells] == [c.verdict for c in b.cells]


def test_privacy_column_comes_from_the_memorising_regime(full):
    cell = full.cell(P, "privacy")
    assert cell.estimate.regime == "memorising"
    assert all("memorising" in i for i in cell.estimate.records)
    assert full.regimes == ("tuned", "memorising", "tuned", "tuned", "tuned")


def test_observed_against_null_needs_no_baseline():
    result = one([record(method("lime"))])
    assert result.cell(E, "fairness").verdict.text == "harm"
    assert result.cell(E, "fairness").estimate.effect.effect == pytest.approx(0.13, abs=0.02)
    # overlap: higher is better, so harm is the random overlap minus the attacked one
    assert result.cell(E, "robustness").estimate.effect.effect == pytest.approx(0.08, abs=0.02)
    assert result.cell(E, "fairness").beyond_matched is None


def test_operating_point_is_printed_and_all_doses_are_listed():
    strong = {"fairness/acc_gap": 0.5}
    result = one([record(), record(DP8, noise=WITHIN), record(DP3, shift=strong, noise=WITHIN)])
    cell = result.cell(P, "fairness")
    assert cell.estimate.dose == {"epsilon": 3.0}
    assert [d.dose["epsilon"] for d in cell.doses] == [3.0, 8.0]
    assert [a.printed for a in result.arms] == [True, False]
    assert not any("operating point" in n for n in result.notes)


def test_the_only_dose_is_printed_and_said_not_to_be_the_operating_point():
    result = one([record(), record(DP8, noise=WITHIN)])
    assert result.cell(P, "fairness").estimate.dose == {"epsilon": 8.0}
    assert any("dpsgd epsilon=8 is not the registered" in n for n in result.notes)


def test_several_doses_without_the_operating_point_are_not_chosen_among():
    doses = [record(method("dpsgd", epsilon=e)) for e in (1.0, 8.0)]
    cell = one([record(), *doses]).cell(P, "fairness")
    assert cell.verdict.text == (
        "not measured (needs one arm at the operating point epsilon=3; measured: "
        "dpsgd epsilon=1, dpsgd epsilon=8)"
    )


def test_combined_interventions_are_listed_but_print_no_cell():
    result = one([record(), record(DP3, PGD, shift={"fairness/acc_gap": 0.3}, noise=WITHIN)])
    assert all(c.estimate.effect is None for c in result.cells)
    [row] = result.arms
    assert row.label == "dpsgd epsilon=3 + pgd_at epsilon=0.1"
    assert row.estimates["fairness"].verdict.text == "harm"
    assert row.dose == {"dpsgd.epsilon": 3.0, "pgd_at.epsilon": 0.1}


def test_beyond_matched_is_treated_minus_matched():
    dp = record(DP3, shift={"fairness/acc_gap": 0.5}, noise=WITHIN)
    matched = record(
        DP3,
        control="matched",
        shift={"fairness/acc_gap": 0.4},
        noise=WITHIN,
        facts={"matched_accuracy_gap": 0.03},
    )
    result = one([record(), dp, matched])
    cell = result.cell(P, "fairness")
    difference = values(dp, "fairness/acc_gap") - values(matched, "fairness/acc_gap")
    assert cell.beyond_matched.effect == pytest.approx(difference.mean())
    assert cell.matched_accuracy_gap == 0.03
    assert any("differs from it by 0.030" in n for n in result.notes)


def test_reseed_control_shows_false_alarms():
    quiet = record(control="reseed", noise=WITHIN)
    result = one([record(), quiet])
    assert result.reseed[0].verdict.kind in (Kind.NO_MATERIAL, Kind.INCONCLUSIVE)
    loud = record(control="reseed", shift={"fairness/acc_gap": 0.2}, noise=WITHIN)
    assert one([record(), loud]).reseed[0].verdict.text == "harm"
    assert one([record()]).reseed[0].verdict.text == (
        "not measured (needs control=reseed, training=tuned)"
    )


def test_several_seeds_are_concatenated_pairs():
    arms = [r for s in (0, 1) for r in (record(seed=s), record(DP3, seed=s, noise=WITHIN))]
    cell = one(arms).cell(P, "fairness")
    assert cell.estimate.effect.n == 32
    assert len(cell.estimate.records) == 4
    alone = one(arms[:2]).cell(P, "fairness")
    assert alone.estimate.effect.n == 16


def test_binary_tasks_print_the_registered_binary_metric():
    arms = [record(classes=("no", "yes")), record(DP3, classes=("no", "yes"))]
    cell = one(arms).cell(P, "fairness")
    assert cell.estimate.metric == "fairness/eo_gap"
    assert "fairness/acc_gap" in [s.metric for s in cell.secondary]


def test_diagnostics_are_no_effects(full):
    assert "privacy/loss_auc" in {e.metric for e in full.exploratory}
    assert "privacy/shuffled_auc" not in {e.metric for e in full.exploratory}


def test_metrics_shared_by_construction_are_no_tests(full):
    lime = {e.metric for e in full.exploratory if e.arm == "lime"}
    assert lime == {"fidelity_gap/gap", "explanation_attack/overlap_attack"}


def test_masking_makes_a_robustness_cell_unreliable():
    flags = MeasurementRecord(
        values=[1.0] * 3 + [0.0] * 13, higher_is_better=False, unit="flag", n=300, diagnostic=True
    )
    dp = record(DP3, noise=WITHIN)
    measured = dp.evaluations["robustness-s1"].measurements | {"masking": flags}
    dp = with_evaluation(dp, "robustness", measurements=measured)
    result = one([record(), dp])
    assert result.cell(P, "robustness").unreliable == (
        "robustness/masking in 3 of 16 replicates of dpsgd epsilon=3"
    )
    assert result.cell(P, "fairness").unreliable is None


def test_evaluations_choose_what_is_read():
    records = [record(settings="s1"), record(DP3, settings="s1"), record(DP8, settings="s2")]
    with pytest.raises(UserError, match="different settings"):
        summarize(records, CRESSWELL)
    ids = list(records[0].evaluations)
    result = one(records, evaluations=ids)
    assert result.cell(P, "fairness").verdict.kind is not Kind.NOT_MEASURED


def test_order_of_records_does_not_matter(full):
    assert one(list(reversed(full_table()))) == full


def test_adding_an_arm_moves_no_other_effect(full):
    more = one([*full_table(), record(method("trades", beta=6.0), noise=WITHIN)])
    assert [c.estimate.effect for c in more.cells] == [c.estimate.effect for c in full.cells]
    assert [c.verdict for c in more.cells] == [c.verdict for c in full.cells]


def test_summary_imports_neither_torch_nor_hydra_nor_mlflow():
    code = (
        "import sys, trustbench.summary.table.table, trustbench.summary.render, "
        "trustbench.summary.render.single_arm\n"
        "heavy = {'torch', 'hydra', 'mlflow', 'pandas', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
