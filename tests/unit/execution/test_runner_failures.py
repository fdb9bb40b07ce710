"""What goes wrong in an arm stays contained: a record, one sentence, one warning."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from tests.unit.arm_toys import ACCURACY, DP, Accuracy, Coupled, Crash, Toy, ignore
from trustbench import tracking
from trustbench.config.arms import Chosen
from trustbench.config.identity import evaluation_id
from trustbench.errors import DataError, TrainingDiverged
from trustbench.execution import job
from trustbench.execution.plan import plan
from trustbench.execution.record import describe
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.store.records import Store
from trustbench.training import divergence


def test_a_crash_becomes_a_record_and_keeps_what_was_measured(arm, capsys):
    broken = replace(arm, evaluators=(ACCURACY, Chosen("crash", Crash())))
    outcome = job.run(broken, ignore)
    assert (outcome.status, outcome.user_error) == ("failed", False)
    assert outcome.reason == "ZeroDivisionError: a bug of ours"
    assert "Traceback" in capsys.readouterr().err
    record = Store(arm.output_dir).read(outcome.arm_id)
    assert record.status == "failed"
    assert "ZeroDivisionError" in record.traceback
    assert record.evaluations[evaluation_id(ACCURACY)].status == "ok"
    assert job.run(arm, ignore).status == "ok"


def test_bad_data_is_refused_in_one_sentence(arm):
    outcome = job.run(replace(arm, dataset=Chosen("toy", Toy(rows=5))), ignore)
    assert (outcome.status, outcome.user_error) == ("refused", True)
    assert outcome.reason == "rows=5 is too small; give at least 10."


@dataclass(frozen=True)
class Refuses(Accuracy):
    """Finds the user's input wrong once the arm has begun."""

    def measure(self, system):
        raise DataError("no rows to measure; give more.")


@dataclass(frozen=True)
class NeedsBaseline(Accuracy):
    """Measures against the baseline."""

    needs: ClassVar = frozenset({"baseline"})

    def measure(self, system):
        return super().measure(system.baseline())


def test_an_arm_that_is_refused_once_it_has_begun_does_not_stay_started(arm):
    store = Store(arm.output_dir)
    refused = replace(arm, evaluators=(ACCURACY, Chosen("refuses", Refuses())))
    outcome = job.run(refused, ignore)
    assert outcome.status == "refused"
    record = store.read(outcome.arm_id)
    assert (record.status, record.reason) == ("failed", "no rows to measure; give more.")
    assert record.traceback is None
    assert record.evaluations[evaluation_id(ACCURACY)].status == "ok"
    # an earlier run was killed, and now the arm is refused before it begins
    tiny = replace(arm, interventions=(Chosen("dpsgd", DPSGD(epsilon=1e-15, delta=1e-12)),))
    assert store.read(job.run(tiny, ignore).arm_id) is None
    store.write(describe(plan(tiny), "started"))
    assert store.read(job.run(tiny, ignore).arm_id).status == "failed"


def test_an_impossible_budget_is_refused(arm):
    tiny = Chosen("dpsgd", DPSGD(epsilon=1e-15, delta=1e-12))
    outcome = job.run(replace(arm, interventions=(tiny,)), ignore)
    assert outcome.status == "refused"
    assert "cannot be reached" in outcome.reason


def test_matched_without_a_treated_arm_is_refused(arm):
    outcome = job.run(replace(arm, control="matched"), ignore)
    assert outcome.status == "refused"
    assert "control=matched needs an intervention" in outcome.reason


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ((DP, Chosen("dpsgd2", DPSGD())), "dpsgd and dpsgd2 both decide the `gradient` hook"),
        ((DP, Chosen("coupled", Coupled())), "coupled couples the examples of a batch"),
    ],
)
def test_impossible_lists_say_why_and_leave_a_record(arm, others, reason):
    outcome = job.run(replace(arm, interventions=others), ignore)
    assert outcome.status == "unsupported"
    assert reason in outcome.reason
    record = Store(arm.output_dir).read(outcome.arm_id)
    assert (record.status, record.reason) == ("unsupported", outcome.reason)


def test_divergence_counts_the_replicates(arm):
    outcome = job.run(replace(arm, training=replace(arm.training, lr=3e38)), ignore)
    record = Store(arm.output_dir).read(outcome.arm_id)
    assert (record.status, record.facts["diverged"]) == ("failed", 4)


def test_a_diverged_baseline_leaves_what_needs_none(arm, monkeypatch):
    """A method that clips may end well where its baseline does not."""
    needy = Chosen("needy", NeedsBaseline())
    dp = Chosen("dpsgd", DPSGD(epsilon=5.0, epochs=2, batch_size=32))
    base = divergence.refuse_outputs

    def diverged(trainer, params):
        if trainer.rule is None:
            raise TrainingDiverged([0], 4, "parameters", "give a training.lr below 9")
        base(trainer, params)

    monkeypatch.setattr(divergence, "refuse_outputs", diverged)
    outcome = job.run(replace(arm, interventions=(dp,), evaluators=(needy, ACCURACY)), ignore)
    assert outcome.status == "ok"
    record = Store(arm.output_dir).read(outcome.arm_id)
    lacking = record.evaluations[evaluation_id(needy)]
    assert (lacking.status, lacking.measurements) == ("unsupported", {})
    assert lacking.reason.startswith("needs the baseline, of which 1 of 4 replicates diverged")
    assert record.evaluations[evaluation_id(ACCURACY)].status == "ok"


def test_an_unreachable_server_costs_nothing(arm, monkeypatch):
    def down(*_, **__):
        raise tracking.TrackingError("the tracking server does not answer.")

    monkeypatch.setattr(tracking, "log_record", down)
    outcome = job.run(arm, ignore)
    assert outcome.status == "ok"
    assert "trustbench sync" in outcome.warning


def test_a_finished_record_survives_a_bug_in_what_comes_after(arm, monkeypatch, capsys):
    def bug(*_, **__):
        raise ZeroDivisionError("in the tracking code")

    monkeypatch.setattr(tracking, "log_record", bug)
    outcome = job.run(arm, ignore)
    assert outcome.status == "failed"
    assert "Traceback" in capsys.readouterr().err
    assert Store(arm.output_dir).read(outcome.arm_id).status == "ok"


def test_failed_and_unsupported_arms_reach_the_tracking_server(arm, monkeypatch, capsys):
    logged = []
    monkeypatch.setattr(tracking, "log_record", lambda *a, **k: logged.append(a[-1].status))
    job.run(replace(arm, evaluators=(Chosen("crash", Crash()),)), ignore)
    job.run(replace(arm, interventions=(DP, Chosen("coupled", Coupled()))), ignore)
    capsys.readouterr()
    assert logged == ["failed", "unsupported"]
