"""What starts when, and what becomes of arms that die, on machines that the test scripts."""

from dataclasses import replace
from pathlib import Path

import pytest

from trustbench.config.arm_labels import label_of
from trustbench.config.compose import compose, composed_arm
from trustbench.execution.job import ArmOutcome, unfinished
from trustbench.launching import schedule
from trustbench.launching.machines import Machines
from trustbench.launching.schedule import Stop, SweepSchedule, scheduled
from trustbench.launching.scheduler import Death, Scheduler

LOST = Death("its machine left the cluster")
RAISED = Death(
    "it could not be run there: ModuleNotFoundError: No module named 'mine'", again=False
)


@pytest.fixture(scope="module")
def arm():
    return composed_arm(compose(["evaluator=utility", "protocol.replicates=2"]))


@pytest.fixture
def arms(arm, tmp_path):
    return [replace(arm, output_dir=tmp_path / "outputs", seed=seed) for seed in range(4)]


class Fake(Machines):
    """Machines with `places`; `fates[i]` is how the attempts at arm i end, one after another."""

    def __init__(self, arms, places=2, fates=None):
        super().__init__()
        self.places = places
        self.fates = {i: list((fates or {}).get(i, ())) for i in range(len(arms))}
        self.running, self.started, self.most, self.stopped = {}, [], 0, 0
        self.before_end = lambda: None

    def room(self):
        return self.places - len(self.running)

    def submit(self, arms):
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

    def leave(self):
        self.stopped += 1


class Told(list):
    """Keeps what the user would read."""

    note = list.append

    def ended(self, job, outcome):
        self.note(outcome.line())


def run(arms, machines, retries=1, stop=None, **limits):
    told = Told()
    named = scheduled({f"arm {i}": arm for i, arm in enumerate(arms)})
    planned = SweepSchedule(named, retries, stop or Stop("continue"), told)
    outcomes = Scheduler(planned, machines, **limits).run()
    assert machines.stopped == 1
    return outcomes, told


def test_every_arm_is_run_once_in_as_many_places_as_there_are(arms):
    machines = Fake(arms)
    outcomes, notes = run(arms, machines)
    assert [o.status for o in outcomes] == ["ok"] * 4
    assert sorted(machines.started) == [0, 1, 2, 3]
    assert machines.most == 2
    assert len(notes) == 4


def test_equal_arms_are_run_once(arms):
    machines = Fake(arms)
    outcomes, _ = run([*arms, arms[1]], machines)
    assert sorted(machines.started) == [0, 1, 2, 3]
    assert outcomes[4].reused
    assert not outcomes[1].reused


def test_an_arm_whose_machine_died_is_started_again(arms):
    machines = Fake(arms, fates={1: [LOST]})
    outcomes, notes = run(arms, machines)
    assert [o.status for o in outcomes] == ["ok"] * 4
    assert sorted(machines.started) == [0, 1, 1, 2, 3]
    assert f"{label_of(arms[1])}: its machine left the cluster; it is started again." in notes


def test_an_arm_that_dies_each_time_fails_and_costs_the_others_nothing(arms):
    machines = Fake(arms, fates={1: [LOST, LOST, LOST]})
    outcomes, _ = run(arms, machines, retries=2)
    assert [o.status for o in outcomes] == ["ok", "failed", "ok", "ok"]
    assert outcomes[1].reason == "its machine left the cluster; tried 3 times"
    assert outcomes[1].arm_id  # the closing list and the manifest name it


def test_an_exception_is_not_tried_again(arms):
    machines = Fake(arms, fates={2: [RAISED]})
    outcomes, _ = run(arms, machines)
    assert outcomes[2].status == "failed"
    assert "No module named 'mine'" in outcomes[2].reason
    assert machines.started.count(2) == 1


def test_after_a_failure_nothing_more_is_started_where_that_is_asked_for(arms):
    machines = Fake(arms, places=1, fates={0: ["failed"]})
    outcomes, _ = run(arms, machines, stop=Stop("stop"))
    assert [o.status for o in outcomes] == ["failed", "skipped", "skipped", "skipped"]
    assert outcomes[3].reason == "not started: arm 0 failed, and on_error=stop"


def test_a_sweep_without_any_machine_left_ends_with_a_reason(arms):
    machines = Fake(arms, places=0)
    outcomes, _ = run(arms, machines, patience_s=0.05)
    assert {o.status for o in outcomes} == {"skipped"}
    assert "no machine has had room for an arm for 0 s" in outcomes[0].reason


def test_patience_begins_when_the_last_arm_ends(arms, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("trustbench.launching.scheduler.time.monotonic", lambda: now[0])
    machines = Fake(arms[:1], fates={0: [LOST]})

    def long_after():
        now[0] += 60.0
        machines.places = 0 if machines.running else 2  # its machine joins again

    machines.before_end = long_after
    (outcome,), _ = run(arms[:1], machines, patience_s=100.0)
    assert outcome.status == "ok"
    assert machines.started == [0, 0]


def test_after_one_interrupt_what_runs_is_finished_and_nothing_is_started(arms):
    machines = Fake(arms)
    stop = Stop("continue")
    machines.before_end = lambda: setattr(stop.interrupts, "count", 1)
    outcomes, told = run(arms, machines, stop=stop)
    assert [o.status for o in outcomes] == ["ok", "ok", "interrupted", "interrupted"]
    assert sum("Ctrl-C again stops them now" in line for line in told) == 1
    # nor does the next batch of the sweep
    later = Fake(arms)
    assert {o.status for o in run(arms, later, stop=stop)[0]} == {"interrupted"}
    assert later.started == []


def test_after_two_interrupts_what_runs_is_stopped(arms):
    machines = Fake(arms)
    stop = Stop("continue")
    machines.before_end = lambda: setattr(stop.interrupts, "count", 2)
    outcomes, _ = run(arms, machines, stop=stop)
    assert [o.status for o in outcomes] == ["ok", "interrupted", "interrupted", "interrupted"]
    assert [o.reason for o in outcomes[1:]] == ["stopped", *["not started: interrupted"] * 2]


def test_what_an_earlier_run_has_finished_needs_no_machine(arms, monkeypatch):
    kept = ArmOutcome("a" * 16, "none", "ok", reused=True)
    monkeypatch.setattr(schedule.jobs, "find_finished", lambda arm: kept if arm.seed < 3 else None)
    machines = Fake(arms)
    outcomes, _ = run(arms, machines)
    assert machines.started == [3]
    assert [o.reused for o in outcomes] == [True, True, True, False]


def test_the_machines_are_left_when_starting_fails(arms):
    machines = Fake(arms)

    def refuse(arms):
        raise RuntimeError("sbatch says no")

    machines.submit = refuse
    with pytest.raises(RuntimeError, match="sbatch says no"):
        run(arms, machines)
    assert machines.stopped == 1
    assert not (Path(arms[0].output_dir) / "arms").exists()
