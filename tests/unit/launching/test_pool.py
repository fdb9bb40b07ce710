"""The pool: if an arm's process dies, the sweep goes on and says what happened."""

import os
import re
import signal
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.launching import toys
from trustbench.errors import ConfigError, TrustbenchError
from trustbench.launching import attempt, pool, schedule
from trustbench.launching.options import Options
from trustbench.launching.pool import SERVER, Pool, opened
from trustbench.store.records import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # imports take seconds, once


@pytest.fixture
def said(capsys):
    """What the pool has printed since the last call."""
    return lambda: capsys.readouterr().err


@pytest.fixture
def sweep(tmp_path):
    """Runs arms named after what they do; their outcomes."""

    def run(*does, **options):
        arms = {
            f"{d} {i}": d if not isinstance(d, str) else toys.arm(tmp_path, d, seed=i)
            for i, d in enumerate(does)
        }
        run.pool = Pool(Options(**{"slots": 2, **options}))
        return run.pool.run(arms, toys.work)

    return run


def _starts(folder):
    return [seed for seed, _ in toys.notes(folder)]


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_outcomes_keep_the_order_of_the_sweep_and_each_arm_has_a_process(sweep, tmp_path, said):
    outcomes = sweep("sleep:0.5", "ok", "ok")
    assert [(o.status, o.arm_id) for o in outcomes] == [("ok", i) for i in toys.ids(3)]
    processes = {what.split(" ")[1] for _, what in toys.notes(tmp_path)}
    assert len(processes) == 3
    assert str(os.getpid()) not in processes
    lines = said()
    assert lines.count("train") == 3
    assert lines.count("ok  ") == 3


def test_a_process_killed_by_a_signal_is_tried_twice_and_the_others_run(sweep, tmp_path, said):
    killed, fine = sweep("signal:9", "ok")
    assert fine.status == "ok"
    reason = "its process died with signal 9, SIGKILL at train; tried 2 times"
    assert (killed.status, killed.reason) == ("failed", reason)
    assert sorted(_starts(tmp_path)) == ["0", "0", "1"]
    record = Store(tmp_path).read(killed.arm_id)
    assert (record.status, record.reason) == ("failed", reason)
    assert list(record.evaluations) == [toys.ACCURACY_ID]  # what it had is kept
    lines = said()
    assert "it is started again" in lines
    log = Path(re.search(r"\(log: (.*)\)", lines)[1]).read_text()
    assert re.findall(r"attempt \d", log) == ["attempt 1", "attempt 2"]
    assert log.count("about to signal:9") == 2


def test_a_process_that_dies_once_is_no_failure(sweep, tmp_path):
    (outcome,) = sweep("once")
    assert outcome.status == "ok"
    assert _starts(tmp_path) == ["0", "0"]


@pytest.mark.parametrize(
    ("does", "reason"),
    [("raise", "ValueError: no such value"), ("leave", "SystemExit: 5")],
)
def test_a_python_exception_is_not_tried_again(sweep, tmp_path, does, reason):
    failed, fine = sweep(does, "ok")
    assert (failed.status, failed.reason, fine.status) == ("failed", reason, "ok")
    assert sorted(_starts(tmp_path)) == ["0", "1"]
    assert "Traceback" in Path(failed.log).read_text()


def test_retries_can_be_switched_off_and_an_exit_code_is_told(sweep, tmp_path):
    (outcome,) = sweep("exit:7", retries=0)
    assert outcome.reason == "its process ended with exit code 7 at train"
    assert _starts(tmp_path) == ["0"]


def test_an_arm_that_dies_before_its_id_is_known_has_a_log_and_no_record(sweep, tmp_path):
    (outcome,) = sweep("early", retries=0)
    assert (outcome.status, outcome.arm_id) == ("failed", None)
    assert not list(Store(tmp_path).records())
    assert "attempt 1" in Path(outcome.log).read_text()


def test_a_timeout_is_a_status_and_is_not_tried_again(sweep, tmp_path):
    late, fine = sweep("sleep:60", "ok", timeout_s=2)
    assert (late.status, late.reason) == (
        "timeout",
        "it ran longer than timeout_s=2; stopped at train",
    )
    assert fine.status == "ok"
    assert sorted(_starts(tmp_path)) == ["0", "1"]
    assert Store(tmp_path).read(late.arm_id).status == "timeout"


def test_memory_is_limited_with_all_that_an_arm_has_started(sweep, tmp_path):
    (outcome,) = sweep("eat:1.5", memory_gb=1.5)
    assert (outcome.status, outcome.reason) == (
        "failed",
        "it held more than memory_gb=1.5; stopped at train",
    )
    assert _starts(tmp_path) == ["0"]


def test_after_a_failure_nothing_is_started_when_told_so(sweep, tmp_path):
    arms = ["raise", "ok", "ok"]
    failed, *others = sweep(*arms, slots=1, on_error="stop")
    assert failed.status == "failed"
    assert [o.status for o in others] == ["skipped", "skipped"]
    assert others[0].reason == "not started: raise 0 failed, and on_error=stop"
    assert _starts(tmp_path) == ["0"]
    # the batch that follows neither
    (later,) = sweep.pool.run({"later": toys.arm(tmp_path, seed=9)}, toys.work)
    assert later.status == "skipped"


def test_each_gpu_has_so_many_arms_at_once_and_arms_of_the_cpu_see_none(sweep, tmp_path):
    arms = [toys.arm(tmp_path, "sleep:0.5", seed=i) for i in range(6)]
    on_cpu = toys.arm(tmp_path, "ok", seed=6, device="cpu")
    outcomes = sweep(*arms, on_cpu, gpus=("0", "1"), per_gpu=2)
    assert {o.status for o in outcomes} == {"ok"}
    lines = {int(seed): what.split(" ") for seed, what in toys.notes(tmp_path)}
    assert lines.pop(6)[0] == ""
    starts = sorted((float(at), gpu) for gpu, _, at in lines.values())
    assert sorted(gpu for _, gpu in starts[:4]) == ["0", "0", "1", "1"]
    # the fifth and sixth wait for a slot to be free
    assert starts[4][0] - starts[3][0] > 0.2
    assert all(a <= b for a, b in pairwise(starts))


def test_an_arm_has_its_own_threads_environment_and_session(sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("POOL_TEST", "seen")
    (outcome,) = sweep(toys.arm(tmp_path, "environment", threads=3))
    assert outcome.status == "ok"
    _, threads, environment, session, modules = [what for _, what in toys.notes(tmp_path)]
    assert threads.startswith("3 3 ")
    assert environment == "seen :4096:8"
    assert session == "True True"  # Ctrl-C is blocked; it leads a session
    assert modules == "True False"  # imported beforehand, and CUDA is not started


def test_equal_arms_are_computed_once(sweep, tmp_path):
    same = toys.arm(tmp_path, "ok", seed=3)
    outcomes = sweep(same, toys.arm(tmp_path, "ok", seed=4), same)
    assert [(o.status, o.reused) for o in outcomes] == [("ok", False), ("ok", False), ("ok", True)]
    assert sorted(_starts(tmp_path)) == ["3", "4"]


@pytest.mark.parametrize("where", ["here", "away"])
def test_what_an_arm_leaves_running_ends_with_it(sweep, tmp_path, where):
    (outcome,) = sweep(f"leak:{where}")
    assert outcome.status == "ok"
    leaked = int((tmp_path / "leaked").read_text())
    deadline = time.monotonic() + 10
    while _alive(leaked):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_finished_record_is_never_overwritten(sweep, tmp_path):
    (outcome,) = sweep("finish", retries=0)
    assert outcome.status == "ok"
    assert "its process died after the record was written" in outcome.warning
    assert Store(tmp_path).read(outcome.arm_id).status == "ok"


def test_a_process_that_falls_silent_is_ended(sweep, monkeypatch):
    monkeypatch.setattr(attempt, "END_S", 0.5)
    mute, fine = sweep("mute", "ok", retries=0)
    assert (mute.status, fine.status) == ("failed", "ok")
    assert "died with signal 9" in mute.reason


def test_the_death_of_the_fork_server_costs_no_arm(sweep, tmp_path):
    outcomes = sweep("kill_server", "sleep:1", "ok", slots=2)
    assert [o.status for o in outcomes] == ["ok"] * 3
    assert sorted(_starts(tmp_path)) == ["0", "1", "2"]


def test_looking_for_finished_arms_ends_where_it_is_long_and_in_vain(sweep, monkeypatch):
    looked = []
    monkeypatch.setattr(schedule.jobs, "find_finished", lambda arm: looked.append(arm.seed))
    monkeypatch.setattr(pool, "SEARCH_S", -1.0)
    assert [o.status for o in sweep("ok", "ok")] == ["ok", "ok"]
    assert looked == []
    monkeypatch.setattr(pool, "SEARCH_S", 60.0)
    sweep("ok", "ok")
    assert looked == [0, 1]


def _press(key, after, times):
    def press():
        for _ in range(times):
            time.sleep(after)
            os.kill(os.getpid(), key)

    SERVER.start()
    while not SERVER.ready():
        time.sleep(0.1)
    threading.Thread(target=press).start()


def test_ctrl_c_lets_running_arms_finish_and_starts_no_more(sweep, tmp_path, said):
    _press(signal.SIGINT, 1.0, 1)
    running, waiting = sweep("sleep:3", "ok", slots=1)
    assert running.status == "ok"
    assert (waiting.status, waiting.reason) == ("interrupted", "not started: interrupted")
    assert "1 running arms are finished" in said()
    assert _starts(tmp_path) == ["0"]


@pytest.mark.parametrize(("key", "times"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_ctrl_c_twice_or_a_termination_stops_at_once(sweep, tmp_path, key, times):
    _press(key, 1.0, times)
    before = time.monotonic()
    (outcome,) = sweep("sleep:60", slots=1)
    assert time.monotonic() - before < 20
    assert (outcome.status, outcome.reason) == ("interrupted", "stopped at train")
    assert Store(tmp_path).read(toys.ids(1)[0]).status == "started"  # the next run goes on


def test_a_dead_server_is_one_sentence(monkeypatch, tmp_path):
    broken = pool.ForkServer()
    broken._error = EOFError()
    broken._warmed = threading.Thread()
    monkeypatch.setattr(pool, "SERVER", broken)
    with pytest.raises(TrustbenchError, match="hydra/launcher=basic runs the arms"):
        Pool(Options(slots=1)).run({"a": toys.arm(tmp_path)}, toys.work)


def test_settings_are_checked_and_ids_of_gpus_may_be_numbers():
    assert opened({"gpus": [0, "GPU-1"], "slots": 3}).options.gpus == ("0", "GPU-1")
    with pytest.raises(ConfigError) as caught:
        opened({"gpus": 3, "slots": 0, "on_error": "maybe"})
    assert len(caught.value.problems) == 3
