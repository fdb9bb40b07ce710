"""The main job on small problems: one command trains, measures, logs and prints the table."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from trustbench import tracking
from trustbench.store.records import Store
from trustbench.tracking import runs
from trustbench.tracking.server import TrackingServer

ROOT = Path(__file__).resolve().parents[2]


def _statuses(outside):
    return sorted(r.status for r in Store(outside.outputs).records())


def test_one_arm_is_measured_and_printed(outside, tb):
    done = tb("run", *outside.args)
    assert done.code == 0, done.err
    assert "hits" in done.out
    assert "accuracy" in done.out
    (record,) = Store(outside.outputs).records()
    assert record.status == "ok"
    assert len(record.evaluations) == 1
    assert {p.name for p in outside.folder.iterdir()} == {"outputs", "conf", "outsiders.py"} | (
        {"__pycache__"} & {p.name for p in outside.folder.iterdir()}
    )


def test_a_sweep_prints_its_table_and_a_second_one_recomputes_nothing(outside, tb):
    sweep = ["run", "-m", *outside.args, "intervention=none,balanced_weights", "seed=0,1"]
    first = tb(*sweep)
    assert first.code == 0, first.err
    assert "table cresswell" in first.out
    assert _statuses(outside) == ["ok"] * 4
    store = Store(outside.outputs)
    manifest = store.sweep("default")
    assert len(manifest.arms) == 4
    assert len(manifest.evaluations) == 1
    before = {r.id: r for r in store.records()}
    again = tb(*sweep)
    assert again.code == 0
    assert again.err.count("kept ") >= 4
    assert {r.id: r for r in store.records()} == before
    # each arm was logged once, below the sweep's run
    server = TrackingServer(store, None)
    found = runs.search(server, runs.experiments(server), runs.ARM)
    parents = [run.data.tags["mlflow.parentRunId"] for run in found]
    assert len(parents) == 4
    assert set(parents) == {tracking.prepare(store, None, "default")}


def test_the_table_is_rebuilt_from_files_and_from_the_server(outside, tb):
    tb("run", "-m", *outside.args, "intervention=none,balanced_weights", "evaluator=[hits,utility]")
    from_files = tb("summarize", "--format", "json")
    uri = tracking.resolve(Store(outside.outputs), None)
    elsewhere = outside.folder / "elsewhere"
    from_server = tb(
        "summarize", "--format", "json", "--tracking-uri", uri, "--experiment", "default",
        "--from", elsewhere,
    )  # fmt: skip
    assert from_files.code == from_server.code == 0
    assert from_files.out == from_server.out
    cells = json.loads(from_files.out)["cells"]
    assert {c["source"] for c in cells} >= {"fairness", "privacy"}
    out = outside.folder / "table.png"
    assert tb("summarize", "--format", "png", "--output", out).code == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_broken_evaluator_costs_its_arm_only(outside, tb):
    done = tb("run", "-m", *outside.args, "evaluator=[hits,broken]",
              "intervention=none,balanced_weights,conformal")  # fmt: skip
    assert done.code == 1
    assert "RuntimeError: this evaluator is broken" in done.err
    # it is a bug of somebody's: the failure names the log, which has the trace
    log = re.search(r"this evaluator is broken \(log: (.*)\)$", done.err, re.MULTILINE)[1]
    assert "Traceback" in Path(log).read_text()
    assert "ok" in _statuses(outside)
    assert "failed" in _statuses(outside)
    failed = next(r for r in Store(outside.outputs).records() if r.status == "failed")
    assert "this evaluator is broken" in failed.traceback


def test_an_evaluator_that_exits_the_process_costs_its_arm_only(outside, tb):
    done = tb("run", "-m", *outside.args, "evaluator=exits", "seed=0,1")
    assert done.code == 1
    assert _statuses(outside) == ["failed", "failed"]


def test_an_arm_refused_for_its_input_is_exit_2_and_the_others_run(outside, tb):
    done = tb("run", "-m", *outside.args, "intervention=dpsgd,none", "control=matched")
    assert done.code == 2
    assert "control=matched needs an intervention" in done.err
    assert "ok" in _statuses(outside)


def test_a_sweep_whose_arms_are_all_refused_leaves_the_sweep_before_it(outside, tb):
    assert tb("run", "-m", *outside.args, "seed=0,1").code == 0
    manifest = Store(outside.outputs).sweep("default")
    assert len(manifest.arms) == 2
    assert tb("run", "-m", *outside.args, "seed=0,1", "control=matched").code == 2
    assert Store(outside.outputs).sweep("default") == manifest


def test_an_impossible_combination_is_a_reason_and_no_failure(outside, tb):
    outside.write(
        "intervention/dp_again",
        "# dp\ndp_again:\n  _target_: trustbench.interventions.privacy.dpsgd.DPSGD\n"
        "  epsilon: 3.0\n",
    )
    done = tb("run", *outside.args, "intervention=[dpsgd,dp_again]")
    assert done.code == 0, done.err
    assert "unsupported" in done.err
    assert "both decide the `gradient` hook" in done.out


def test_an_unreachable_server_is_a_warning_and_sync_uploads_later(outside, tb):
    done = tb("run", "-m", *outside.args, "seed=0,1", "tracking_uri=http://127.0.0.1:9")
    assert done.code == 0, done.err
    assert "warning: tracking at http://127.0.0.1:9 failed" in done.err
    assert _statuses(outside) == ["ok", "ok"]
    synced = tb("sync")
    assert (synced.code, synced.out) == (0, "uploaded 2 records; 0 were there.\n")
    assert tb("sync").out == "uploaded 0 records; 2 were there.\n"


@pytest.mark.slow
def test_joblib_runs_arms_in_parallel_and_one_failure_stops_nothing(outside, spawn):
    parallel = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    swept = ["evaluator=[hits,broken]", "intervention=none,balanced_weights", "seed=0,1"]
    process = spawn("run", "-m", *outside.args, *parallel, *swept)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1, err
    assert _statuses(outside) == ["failed", "failed", "ok", "ok"]
    assert "table cresswell" in out
    assert len(list(tracking.fetch_records(Store(outside.outputs), None, "default"))) == 4


@pytest.mark.slow
def test_a_killed_run_is_finished_by_starting_it_again(outside, spawn):
    sweep = ["run", "-m", *outside.args, "evaluator.hits.sleep_s=2", "seed=0,1,2"]
    process = spawn(*sweep, start_new_session=True)
    store = Store(outside.outputs)
    deadline = time.monotonic() + 120
    while not any(r.status == "ok" for r in store.records()):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    time.sleep(0.5)  # into the second arm
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    finished = {r.id: r for r in store.records() if r.status == "ok"}
    assert 1 <= len(finished) < 3
    again = spawn(*sweep)
    out, err = again.communicate(timeout=200)
    assert again.returncode == 0, err
    assert _statuses(outside) == ["ok", "ok", "ok"]
    assert err.count("kept ") >= len(finished)
    for arm, record in finished.items():
        assert store.read(arm) == record
    assert "table cresswell" in out


def test_interrupting_a_run_is_exit_130(outside, spawn):
    process = spawn("run", *outside.args, "evaluator.hits.sleep_s=30")
    store = Store(outside.outputs)
    deadline = time.monotonic() + 120
    while not list(store.records()):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "run the same command again" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_the_smoke_experiment_fills_all_five_rows(spawn, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = spawn("run", "+experiment=smoke", f"output_dir={tmp_path / 'out'}", env=env)
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    assert all(r.status == "ok" for r in Store(tmp_path / "out").records())
    for row in ("balanced_weights", "dpsgd", "pgd_at", "lime", "conformal"):
        assert row in out
