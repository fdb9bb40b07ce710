"""What becomes of an arm whose process cannot say it itself, and of one that is finished."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from tests.unit.arm_toys import Toy
from tests.unit.tracking.test_tracking import make_record
from trustbench import tracking
from trustbench.config.arms import Chosen
from trustbench.contracts import Intervention
from trustbench.contracts.aspects import Aspect
from trustbench.execution import job
from trustbench.execution.job import ArmOutcome
from trustbench.execution.plan import plan
from trustbench.store.files import exclusive
from trustbench.store.records import Store

pytestmark = pytest.mark.usefixtures("handmade_ids")

ID = "a" * 16


@dataclass(frozen=True)
class Refusing(Intervention):
    aspect: ClassVar = Aspect.PRIVACY
    reads_rows: ClassVar = ()

    def supports(self, problem, schedule):
        return "needs a moon"


@pytest.fixture
def store(arm):
    return Store(arm.output_dir)


@pytest.fixture(autouse=True)
def tracked(arm, monkeypatch):
    """The records that the tracking server gets."""
    sent = []
    monkeypatch.setattr(tracking, "log_record", lambda *a, **k: sent.append(a[-1]))
    return sent


def test_a_death_is_written_into_the_record_and_what_it_holds_is_kept(arm, store, tracked):
    started = make_record(ID, status="started")
    store.write(started)
    outcome = job.record_death(arm, "its process died", ID, "timeout", 3.0)
    assert (outcome.status, outcome.reason, outcome.seconds) == ("timeout", "its process died", 3.0)
    record = store.read(ID)
    assert (record.status, record.reason) == ("timeout", "its process died")
    assert record.evaluations == started.evaluations
    assert tracked == [record]


def test_a_finished_record_stays_finished(arm, store, tracked):
    store.write(make_record(ID), {"logits": np.zeros(3)})
    before = store.read(ID)
    outcome = job.record_death(arm, "its process died", ID)
    assert (outcome.status, outcome.reason) == ("ok", None)
    assert outcome.warnings() == [
        "trustbench: warning: its process died after the record was written."
    ]
    assert store.read(ID) == before
    assert not tracked


def test_a_record_that_another_process_works_on_is_left_to_it(arm, store):
    store.write(make_record(ID, status="started"))
    with exclusive(store.arm_dir(ID)):
        outcome = job.record_death(arm, "its process died", ID)
    assert outcome.status == "failed"
    assert store.read(ID).status == "started"


def test_a_death_before_there_is_a_record_writes_none(arm, store):
    assert job.record_death(arm, "its process died").arm_id is None
    assert not store.used


def test_only_a_finished_and_uploaded_arm_is_kept_without_a_process(arm, store, monkeypatch):
    assert job.find_finished(arm) is None
    ran = job.run(arm, lambda *a: None)
    assert ran.status == "ok", ran
    assert job.find_finished(arm) is None  # the server does not have it yet
    monkeypatch.setattr(tracking, "uploaded", lambda *a: True)
    kept = job.find_finished(arm)
    assert (kept.status, kept.reused, kept.arm_id) == ("ok", True, ran.arm_id)
    assert job.find_finished(replace(arm, seed=5)) is None
    store.write(store.read(ran.arm_id).model_copy(update={"status": "failed"}))
    assert job.find_finished(arm) is None


def test_an_arm_whose_parts_do_not_fit_is_finished_while_they_still_do_not(arm, store, monkeypatch):
    refused = replace(arm, interventions=(Chosen("toy", Refusing()),))
    ran = job.run(refused, lambda *a: None)
    assert (ran.status, ran.reason) == ("unsupported", "intervention toy: needs a moon")
    assert job.find_finished(refused) is None  # the server does not have it yet
    monkeypatch.setattr(tracking, "uploaded", lambda *a: True)
    kept = job.find_finished(refused)
    assert (kept.arm_id, kept.status, kept.reason) == (ran.arm_id, ran.status, ran.reason)
    assert kept.status_text == "unsupported"
    monkeypatch.setattr(Refusing, "supports", lambda *a: "needs two moons")
    assert job.find_finished(refused) is None
    monkeypatch.setattr(Refusing, "supports", lambda *a: None)
    assert job.find_finished(refused) is None


def test_looking_at_an_arm_that_is_wrong_tells_nothing(arm, store):
    store.write(make_record(ID))
    assert job.find_finished(replace(arm, dataset=Chosen("toy", Toy(rows=3)))) is None


def test_a_run_tells_the_id_before_it_computes(arm):
    seen = []
    outcome = job.run(arm, lambda *a: seen.append("computes"), seen.append)
    assert seen[:2] == [plan(arm).arm_id, "computes"]
    assert outcome.arm_id == seen[0]


def test_an_outcome_is_one_line_with_its_log():
    failed = ArmOutcome("a", "dpsgd", "failed", "no\nmore", seconds=2.5, log="/x/log.txt")
    assert failed.line() == "failed          2.5 s  dpsgd: no (log: /x/log.txt)"
    assert ArmOutcome("a", "none", "ok", reused=True).line() == "kept            0.0 s  none"
    assert ArmOutcome("a", "none", "ok", warning="x\ny").warnings() == [
        "trustbench: warning: x", "trustbench: warning: y",
    ]  # fmt: skip
