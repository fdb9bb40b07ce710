"""One arm from plan to record: reuse, resume, controls."""

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.arm_toys import ACCURACY, DP, Accuracy, Transfer, ignore, run
from trustbench.config.arms import Chosen
from trustbench.config.identity import evaluation_id
from trustbench.execution.fit import fit
from trustbench.execution.plan import plan
from trustbench.store.records import Store
from trustbench.training import fits


def test_a_record_holds_everything_the_arm_produced(arm):
    record, reused = run(arm)
    assert (record.status, reused) == ("ok", False)
    evaluation = record.evaluations[evaluation_id(ACCURACY)]
    assert len(evaluation.measurements["accuracy"].values) == 4
    assert evaluation.missing == {"auc": "not asked"}
    arrays = Store(arm.output_dir).arrays(record.id)
    assert arrays["logits"].shape == (4, 180, 2)
    right = arrays[f"{evaluation_id(ACCURACY)}/right"].mean(1)
    np.testing.assert_allclose(right, evaluation.measurements["accuracy"].values)
    assert record == Store(arm.output_dir).read(record.id)
    assert record.problem.sizes["members"] == 120
    assert record.facts["engine"] == "stacked"


def test_a_finished_arm_is_reused_and_a_started_one_is_retried(arm):
    record, _ = run(arm)
    assert run(arm) == (record, True)
    store = Store(arm.output_dir)
    store.write(record.model_copy(update={"status": "started", "evaluations": {}}))
    again, reused = run(arm)
    assert not reused
    assert again.evaluations.keys() == record.evaluations.keys()


def test_an_evaluator_is_added_without_training_or_measuring_again(arm):
    first, _ = run(arm)
    fit_file = Store(arm.output_dir).fit_dir(first.fit) / "fit.json"
    before = fit_file.stat().st_mtime_ns
    other = Chosen("accuracy", Accuracy(points=1))
    second, _ = run(replace(arm, evaluators=(ACCURACY, other)))
    assert second.id == first.id
    assert fit_file.stat().st_mtime_ns == before
    assert set(second.evaluations) == {evaluation_id(ACCURACY), evaluation_id(other)}
    assert second.evaluations[evaluation_id(ACCURACY)] == first.evaluations[evaluation_id(ACCURACY)]
    assert len(Store(arm.output_dir).arrays(first.id)) == 3


def test_reseed_shares_the_halves_and_nothing_else(arm):
    base, reseed = plan(arm), plan(replace(arm, control="reseed"))
    np.testing.assert_array_equal(base.membership, reseed.membership)
    store = Store(arm.output_dir)
    a, b = fit(base, store, ignore), fit(reseed, store, ignore)
    assert all((a.params[n] != b.params[n]).any() for n in a.params)


def test_matched_stops_the_baseline_at_the_treated_arms_accuracy(arm):
    store = Store(arm.output_dir)
    treated = plan(replace(arm, interventions=(DP,)))
    matched = plan(replace(arm, interventions=(DP,), control="matched"))
    made = fit(matched, store, ignore)
    target = fit(treated, store, ignore).accuracy
    states, accuracy = fits.read_snapshots(store.fit_dir(plan(arm).fit_id), treated.device)
    best = np.abs(accuracy - target).min(axis=0)
    np.testing.assert_allclose(np.abs(made.accuracy - target), best)
    assert made.facts["matched_accuracy_gap"] == pytest.approx(best.mean())
    for r in range(4):
        assert any((states["1.weight"][s, r] == made.params["1.weight"][r]).all() for s in range(6))


def test_the_baseline_is_trained_when_an_evaluator_asks_for_it(arm):
    transfer = Chosen("transfer", Transfer())
    record, _ = run(replace(arm, interventions=(DP,), evaluators=(transfer,)))
    assert min(record.evaluations[evaluation_id(transfer)].measurements["distance"].values) > 0
    base, _ = run(replace(arm, evaluators=(transfer,)))
    evaluation = base.evaluations[evaluation_id(transfer)]
    assert (evaluation.status, evaluation.reason) == ("unsupported", "the baseline has no baseline")


def test_dp_facts_reach_the_record(arm):
    record, _ = run(replace(arm, interventions=(DP,)))
    assert 3.9 < record.facts["epsilon"] <= 4.0
    assert record.facts["accountant"] == "prv"
    assert record.arm.interventions[0].dose == {"epsilon": 4.0}
