"""What starts when on machines that others schedule, and what becomes of the arms that die."""

from dataclasses import replace
from pathlib import Path

import pytest

from trustbench.config.arm_labels import label_of
from trustbench.config.compose import compose, composed_arm
from trustbench.execution.job import ArmOutcome, unfinished
from trustbench.launching import driving
from trustbench.launching.driving import Death, Drive, DrivingRules

LOST = Death("its machine left the cluster")
RAISED = Death(
    "it could not be run there: ModuleNotFoundError: No module named 'mine'", again=False
)


@pytest.fixture(scope="module")
def arm():
    return composed_arm(compose(["evaluator=utility", "protocol.replicates=2"]))


@pytest.fixture
def arms(arm, tmp_path, monkeypatch):
    monkeypatch.setattr(driving, "POLL_S", 0.0)
    return [replace(arm, output_dir=tmp_path / "outputs", seed=seed) for seed in range(4)]


class Fake:
    """Machines with `places`; `fates[i]` is how the attempts at arm i end, one after another."""

    def __init__(self, arms, places=2, fates=None):
        self.arms, self.places = arms, places
        self.fates = {i: list((fates or {}).get(i, ())) for i in range(len(arms))}
        self.running, self.started, self.most, self.stopped = {}, [], 0, 0
        self.before_end = lambda: None

    def room(self):
        return self.places - len(self.running)

    def start(self, arms):
        self.started += arms
        self.running.update(arms)
        self.most = max(self.most, len(self.running))

    def ended(self, timeout_s):
        self.before_end()
        if not self.running:
            return {}
        index = next(iter(self.running))
        arm = self.running.pop(index)
        fate = self.fates[index].pop(0) if self.fates[index] else "ok"
        return {index: fate if isinstance(fate, Death) else unfinished(arm, fate, "because")}

    def stop(self):
        self.stopped += 1


def drive(arms, machines, **rules):
    notes = []
    driven = Drive(arms, machines, DrivingRules(**rules), notes.append)
    outcomes = driven.run()
    assert machines.stopped == 1
    return outcomes, notes


def test_every_arm_is_run_once_in_as_many_places_as_there_are(arms):
    machines = Fake(arms)
    outcomes, notes = drive(arms, machines)
    assert [o.status for o in outcomes] == ["ok"] * 4
    assert sorted(machines.started) == [0, 1, 2, 3]
    assert machines.most == 2
    assert len(notes) == 4


def test_equal_arms_are_run_once(arms):
    machines = Fake(arms)
    outcomes, _ = drive([*arms, arms[1]], machines)
    assert sorted(machines.started) == [0, 1, 2, 3]
    assert outcomes[4].reused
    assert not outcomes[1].reused


def test_an_arm_whose_machine_died_is_started_again(arms):
    machines = Fake(arms, fates={1: [LOST]})
    outcomes, notes = drive(arms, machines)
    assert [o.status for o in outcomes] == ["ok"] * 4
    assert sorted(machines.started) == [0, 1, 1, 2, 3]
    assert f"{label_of(arms[1])}: its machine left the cluster; it is started again." in notes


def test_an_arm_that_dies_each_time_fails_and_costs_the_others_nothing(arms):
    machines = Fake(arms, fates={1: [LOST, LOST, LOST]})
    outcomes, _ = drive(arms, machines, retries=2)
    assert [o.status for o in outcomes] == ["ok", "failed", "ok", "ok"]
    assert outcomes[1].reason == "its machine left the cluster; tried 3 times"
    assert outcomes[1].arm_id  # the closing list and the manifest name it


def test_an_exception_is_not_tried_again(arms):
    machines = Fake(arms, fates={2: [RAISED]})
    outcomes, _ = drive(arms, machines)
    assert outcomes[2].status == "failed"
    assert "No module named 'mine'" in outcomes[2].reason
    assert machines.started.count(2) == 1


def test_after_a_failure_nothing_more_is_started_where_that_is_asked_for(arms):
    machines = Fake(arms, places=1, fates={0: ["failed"]})
    outcomes, _ = drive(arms, machines, on_error="stop")
    assert [o.status for o in outcomes] == ["failed", "skipped", "skipped", "skipped"]
    assert "on_error=stop" in outcomes[3].reason


def test_a_sweep_without_any_machine_left_ends_with_a_reason(arms):
    machines = Fake(arms, places=0)
    outcomes, _ = drive(arms, machines, patience_s=0.05)
    assert {o.status for o in outcomes} == {"skipped"}
    assert "no machine has had room for an arm for 0 s" in outcomes[0].reason


def test_after_one_interrupt_what_runs_is_finished_and_nothing_is_started(arms):
    machines = Fake(arms)
    driven = Drive(arms, machines, DrivingRules(), print)
    machines.before_end = lambda: setattr(driven.interrupts, "count", 1)
    assert [o.status for o in driven.run()] == ["ok", "ok", "interrupted", "interrupted"]


def test_after_two_interrupts_what_runs_is_stopped(arms):
    machines = Fake(arms)
    driven = Drive(arms, machines, DrivingRules(), print)
    machines.before_end = lambda: setattr(driven.interrupts, "count", 2)
    outcomes = driven.run()
    assert [o.status for o in outcomes] == ["ok", "interrupted", "interrupted", "interrupted"]
    assert machines.stopped == 1


def test_what_an_earlier_run_has_finished_needs_no_machine(arms, monkeypatch):
    kept = ArmOutcome("a" * 16, "none", "ok", reused=True)
    monkeypatch.setattr(driving.jobs, "find_finished", lambda arm: kept if arm.seed < 3 else None)
    machines = Fake(arms)
    outcomes, _ = drive(arms, machines)
    assert machines.started == [3]
    assert [o.reused for o in outcomes] == [True, True, True, False]


def test_the_machines_are_left_when_starting_fails(arms):
    machines = Fake(arms)

    def refuse(arms):
        raise RuntimeError("sbatch says no")

    machines.start = refuse
    with pytest.raises(RuntimeError, match="sbatch says no"):
        Drive(arms, machines, DrivingRules(), print).run()
    assert machines.stopped == 1
    assert not (Path(arms[0].output_dir) / "arms").exists()
