"""The fault suite in a short form, and that its judgement notices what it should."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import suite, sweep
from tests.faults.kinds import KINDS
from tests.faults.sweep import State
from tests.faults.trial import Result

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("kill_child", "full_disk", "killed_and_damaged", "two_at_once", "swapped_twins")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and prctl")
def test_a_few_faults_cost_nothing(tmp_path):
    args = [
        "--trials",
        str(len(SHORT)),
        "--kinds",
        ",".join(SHORT),
        "--folder",
        str(tmp_path / "trials"),
    ]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "faults.py"), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=280)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, out + err
    assert f"| **all** | {len(SHORT)} | " in out


def test_the_shares_are_those_of_all_trials():
    tasks = suite.chosen(sum(share for _, share in KINDS.values()))
    assert len(tasks) >= 190
    assert {kind for kind, _ in tasks} == set(KINDS)
    assert len(set(tasks)) == len(tasks)


BEFORE = State({"a": "1"}, {"a": b"a"}, {}, {})
GOOD = State(
    {"a": "1", "b": "2"},
    {"a": b"a", "b": b"b"},
    {"t.md": b"t"},
    {"arms/b": ["start u", "start u", "done u"], "fits/f": ["start fit", "done fit"]},
)


def test_a_sweep_that_kept_every_promise_has_no_problem():
    assert not any(sweep.problems(BEFORE, GOOD, GOOD, set()).values())


@pytest.mark.parametrize(
    ("promise", "change"),
    [
        ("lost", {"records": {"b": b"b"}}),
        ("lost", {"records": {"a": b"other", "b": b"b"}}),
        ("wrong", {"digests": {"a": "1", "b": "3"}}),
        ("wrong", {"digests": {"a": "1"}}),
        ("tables", {"tables": {}}),
        ("tables", {"tables": {"t.md": b"u"}}),
        ("duplicated", {"journals": {"fits/f": ["start fit", "done fit", "start fit"]}}),
        ("duplicated", {"journals": {"arms/b": ["shared u", "start u", "done u"]}}),
    ],
)
def test_each_broken_promise_is_noticed(promise, change):
    after = State(**{**vars(GOOD), **change})
    found = sweep.problems(BEFORE, after, GOOD, set())
    assert [name for name, what in found.items() if what] == [promise]
    result = Result("kill_child", 0, problems=found)
    assert not result.kept
    assert suite.table([result])[-1].startswith("| **all** | 1 | 1 |")


def test_what_a_trial_damaged_itself_may_be_computed_again():
    again = {"arms/a": ["start u", "done u", "start u", "done u"]}
    assert sweep.computed_again(again, set()) == ["arms/a u"]
    assert sweep.computed_again(again, {"arms/a"}) == []
