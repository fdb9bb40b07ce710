"""A sweep under the pool, from the command line: what survives when processes are killed."""

import os
import signal
import time
from pathlib import Path

import pytest

from trustbench.store.records import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE_S = 240.0


def _wait(until, process, what):
    deadline = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < deadline, f"never {what}"
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)


def _processes(pid):
    """The ids of all that descends from a process."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            parents[int(path.name)] = int(fields[1])
    found = {pid}
    while new := {p for p, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {pid}


def _alive(pids):
    return [p for p in pids if _state(p) not in "ZX"]


def _state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return None


def _sweep(outside, sleep_s, *args):
    return ["run", "-m", *outside.args, f"evaluator.hits.sleep_s={sleep_s}", *args]


def _kept(err):
    return sum(line.startswith("kept ") for line in err.splitlines())


def _status(outside):
    return {r.arm.seed: r.status for r in Store(outside.outputs).records()}


@pytest.fixture
def start(spawn):
    """Starts a sweep that can be interrupted; what still runs at the end is killed."""
    started = []

    def begin(*args):
        # a shell's background job ignores Ctrl-C, and so would what it starts
        restore = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
        started.append(spawn(*args, start_new_session=True, **restore))
        return started[-1]

    yield begin
    for process in started:
        for pid in {process.pid, *_processes(process.pid)} if process.poll() is None else ():
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def test_when_the_parent_is_killed_nothing_stays_and_the_next_run_goes_on(outside, start, tb):
    sweep = _sweep(outside, 3, "seed=0,1,2", "hydra.launcher.slots=1")
    process = start(*sweep)
    _wait(lambda: _status(outside).get(1) == "started", process, "in the second arm")
    others = _processes(process.pid)
    assert len(others) >= 2  # the fork server and the arm's process
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 15
    while _alive(others):
        assert time.monotonic() < deadline, {p: _command(p) for p in _alive(others)}
        time.sleep(0.05)
    before = {r.id: r for r in Store(outside.outputs).records() if r.status == "ok"}
    assert next(iter(before.values())).arm.seed == 0
    again = tb(*sweep)
    assert again.code == 0, again.err
    assert _kept(again.err) == 1
    assert _status(outside) == {0: "ok", 1: "ok", 2: "ok"}
    assert all(Store(outside.outputs).read(arm) == record for arm, record in before.items())
    # and the third run starts no process at all: its closing list alone names the arms
    assert tb(*sweep).err.count(" kept ") == 3


def test_a_killed_arm_costs_the_others_nothing_and_its_record_says_so(outside, start):
    process = start(*_sweep(outside, 4, "seed=0,1", "hydra.launcher.slots=2"))
    for attempt in (1, 2):
        log = None

        def victim(attempt=attempt):
            nonlocal log
            logs = Store(outside.outputs).root.glob("arms/*/log.txt")
            log = next((p for p in logs if "'seed=1'" in p.read_text()), None)
            return log and f"attempt {attempt}" in log.read_text()

        _wait(victim, process, f"at attempt {attempt}")
        arm = log.parent.name
        _wait(lambda arm=arm: Store(outside.outputs).read(arm) is not None, process, "recorded")
        os.kill(_holder(log), signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, err
    assert _status(outside) == {0: "ok", 1: "failed"}
    record = Store(outside.outputs).read(arm)
    assert "died with signal 9, SIGKILL at " in record.reason
    assert record.reason.endswith("tried 2 times")
    assert str(log) in err
    assert "table cresswell" in out


def _holder(log):
    """The process that has a log open as its standard output."""
    for path in Path("/proc").glob("[0-9]*/fd/1"):
        try:
            if path.resolve() == log:
                return int(path.parts[2])
        except OSError:
            continue
    raise AssertionError(f"nobody writes {log}")


def test_ctrl_c_finishes_what_runs_and_the_next_run_does_the_rest(outside, start, tb):
    sweep = _sweep(outside, 3, "seed=0,1", "hydra.launcher.slots=1")
    process = start(*sweep)
    _wait(lambda: _status(outside).get(0) == "started", process, "in the first arm")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert _status(outside) == {0: "ok"}
    assert "Ctrl-C again stops them now" in err
    assert "not started: interrupted" in err
    assert err.rstrip().endswith("interrupted; run the same command again to go on.")
    assert "table" not in out
    again = tb(*sweep)
    assert again.code == 0
    assert _status(outside) == {0: "ok", 1: "ok"}


def test_ctrl_c_twice_stops_at_once(outside, start):
    process = start(*_sweep(outside, 60, "seed=0,1", "hydra.launcher.slots=2"))
    _wait(lambda: set(_status(outside)) == {0, 1}, process, "in both arms")
    others = _processes(process.pid)
    before = time.monotonic()
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(1)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert time.monotonic() - before < 50
    assert process.returncode == 130, err
    assert not _alive(others)
    assert _status(outside) == {0: "started", 1: "started"}


def test_fail_fast_starts_nothing_after_a_failure(outside, tb):
    done = tb(
        "run", "-m", "--fail-fast", *outside.args, "evaluator=exits", "seed=0,1,2",
        "hydra.launcher.slots=1",
    )  # fmt: skip
    assert done.code == 1
    assert _status(outside) == {0: "failed"}
    assert done.err.count("not started: seed=0 failed, and on_error=stop") >= 2
    assert not (outside.outputs / "tables").exists()


def test_limits_are_records_and_an_arm_after_a_timeout_goes_on(outside, tb):
    limited = [*_sweep(outside, 60, "seed=0,1", "hydra.launcher.timeout_s=8")]
    done = tb(*limited)
    assert done.code == 1
    assert _status(outside) == {0: "timeout", 1: "timeout"}
    done = tb("run", "-m", *outside.args, "evaluator=utility", "seed=0,1")
    assert done.code == 0, done.err
    assert _status(outside) == {0: "ok", 1: "ok"}


def test_any_launcher_and_any_number_of_slots_give_the_same_records(outside, tb):
    swept = ["intervention=none,balanced_weights,conformal", "control=none,reseed"]
    found = []
    for name in ("hydra/launcher=basic", "hydra.launcher.slots=1", "hydra.launcher.slots=3"):
        outputs = outside.folder / name.replace("/", "-").replace("=", "-")
        done = tb("run", "-m", *outside.args, "evaluator=[hits,utility]", *swept, name,
                  f"output_dir={outputs}")  # fmt: skip
        assert done.code == 0, done.err
        store = Store(outputs)
        found.append(
            {
                r.id: (
                    {k: e.measurements for k, e in r.evaluations.items()},
                    {k: a.tobytes() for k, a in store.arrays(r.id).items()},
                )
                for r in store.records()
            }
        )
    assert len(found[0]) == 6
    assert found[0] == found[1] == found[2]
