"""Records become MLflow runs and come back; a server that does not answer costs nothing."""

import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from trustbench import tracking
from trustbench.contracts.guarantees import Guarantee
from trustbench.store.records import (
    ArmSpec,
    Evaluation,
    MeasurementRecord,
    PluginSpec,
    ProblemSpec,
    Record,
    Store,
    Sweep,
)
from trustbench.tracking import run_content as tracked
from trustbench.tracking import server, upload

pytestmark = pytest.mark.usefixtures("handmade_ids")


def make_record(arm="a" * 16, metrics=2, replicates=3, **changes):
    measured = {
        f"m{i}": MeasurementRecord(
            values=[float(i + r) for r in range(replicates)],
            higher_is_better=True,
            unit="fraction",
            n=10,
        )
        for i in range(metrics)
    }
    evaluation = Evaluation(
        evaluator=PluginSpec(name="fairness", params={"min_group": 20}),
        status="ok",
        measurements=measured,
    )
    fields = {
        "id": arm,
        "fit": "f" * 16,
        "arm": ArmSpec(
            dataset=PluginSpec(name="digits", params={"rare": 8}),
            model=PluginSpec(name="mlp", params={"hidden": [32]}),
            training={"regime": "tuned", "lr": 0.1},
            interventions=[
                PluginSpec(name="dpsgd", params={"epsilon": 3.0}, dose={"epsilon": 3.0})
            ],
            protocol={"replicates": replicates},
            seed=0,
            engine="stacked",
        ),
        "status": "ok",
        "replicates": replicates,
        "facts": {"epsilon": 2.99, "accountant": "prv"},
        "privacy": [
            Guarantee(
                rows="members",
                neighbours="add or remove",
                mechanisms=["dpsgd (300 noisy sums)"],
                epsilon=2.99,
                delta=0.001,
                accountant="prv",
            )
        ],
        "problem": ProblemSpec(
            fingerprint="0123456789abcdef" * 2,
            sizes={"train": 5, "test": 5},
            classes=["a", "b"],
            groups=["g", "h"],
            group_name="g",
            group_sizes={"g": 2, "h": 3},
            card={},
        ),
        "evaluations": {"fairness-12345678": evaluation},
    }
    return Record(**{**fields, **changes})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store whose database is made once: that takes seconds."""
    store = Store(tmp_path_factory.mktemp("outputs"))
    tracking.prepare(store, None, "exp")
    return store


def client(store, uri=None):
    return server.client(tracking.resolve(store, uri))


def _run(store, run_id):
    return client(store).get_run(run_id)


def test_the_parent_makes_database_experiment_and_one_run_per_experiment(store):
    first, again = (tracking.prepare(store, None, "exp") for _ in range(2))
    assert first == again
    assert _run(store, first).info.status == "FINISHED"  # whatever happens to the sweep
    with sqlite3.connect(store.tracking_db) as connection:
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    assert tracking.prepare(store, None, "exp", sweep=False) is None
    mlflow = client(store)
    assert mlflow.get_experiment_by_name("exp").artifact_location.startswith(store.root.as_uri())


def test_a_record_becomes_one_finished_run(store):
    record = make_record("b" * 16)
    store.write(record, {"logits": np.zeros(3)})
    parent = tracking.prepare(store, None, "exp")
    run = _run(store, tracking.log_record(store, None, "exp", record, parent))
    assert run.info.status == "FINISHED"
    assert run.info.run_name == run.data.tags["trustbench.label"] == "dpsgd epsilon=3"
    assert run.data.params["intervention.dpsgd.epsilon"] == "3.0"
    assert run.data.params["fact.epsilon"] == "2.99"
    assert run.data.params["privacy.1"].startswith("epsilon 2.99 at delta 0.001 (prv): one train")
    assert run.data.metrics["fairness/m1"] == pytest.approx(2.0)
    assert "fact.epsilon" not in run.data.metrics  # a guarantee is not a measurement
    assert run.data.tags["trustbench.arm_id"] == record.id
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.inputs.dataset_inputs[0].dataset.digest == record.problem.fingerprint
    mlflow = client(store)
    assert {a.path for a in mlflow.list_artifacts(run.info.run_id)} == {"record.json", "arrays.npz"}
    history = mlflow.get_metric_history(run.info.run_id, "fairness/m1.replicate")
    assert [(m.step, m.value) for m in history] == [(0, 1.0), (1, 2.0), (2, 3.0)]


def test_processes_that_upload_a_record_at_the_same_time_make_one_run(store, monkeypatch):
    record = store.write(make_record("e" * 16))
    search = upload._whole_run

    def slowly(*args):
        found = search(*args)
        time.sleep(0.5)  # the other one searches before this one has made a run
        return found

    monkeypatch.setattr(upload, "_whole_run", slowly)
    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(lambda _: tracking.log_record(store, None, "exp", record), "ab"))
    assert made[0] == made[1]


def test_a_failed_record_is_a_failed_run(store):
    record = make_record("c" * 16, status="failed", reason="RuntimeError: no", evaluations={})
    store.write(record)
    run = _run(store, tracking.log_record(store, None, "exp", record))
    assert run.info.status == "FAILED"
    assert run.data.tags["trustbench.reason"] == "RuntimeError: no"


def test_more_values_than_a_batch_takes_all_arrive(store):
    training = {"regime": "tuned", **{f"key{i}": i for i in range(150)}}
    record = make_record("d" * 16, metrics=60, replicates=16)
    record = record.model_copy(update={"arm": record.arm.model_copy(update={"training": training})})
    store.write(record)
    run = _run(store, tracking.log_record(store, None, "exp", record))
    assert len(run.data.metrics) == 60 * 4
    assert run.data.params["training.key149"] == "149"


def test_records_come_back_and_the_newest_of_an_arm_wins(store):
    old, new = make_record("e" * 16, seconds=1.0), make_record("e" * 16, seconds=2.0)
    elsewhere = make_record("f" * 16)
    for record, experiment in ((old, "other"), (new, "other"), (elsewhere, "exp")):
        store.write(record)
        tracking.log_record(store, None, experiment, record)
    assert list(tracking.fetch_records(store, None, "other")) == [new]
    everywhere = {r.id for r in tracking.fetch_records(store, None)}
    assert {"e" * 16, "f" * 16} <= everywhere
    assert list(tracking.fetch_records(store, None, "nothing")) == []


def test_logged_knows_records_by_their_content(store):
    here = make_record("1" * 16)
    store.write(here)
    tracking.log_record(store, None, "exp", here)
    changed = here.model_copy(update={"seconds": 9.0})
    assert tracking.logged(store, None, [here, make_record("2" * 16)]) == {here.id}
    assert tracking.logged(store, None, [changed]) == set()


def test_searches_go_on_past_a_page(store, monkeypatch):
    for arm in ("5" * 16, "6" * 16):
        record = make_record(arm)
        store.write(record)
        tracking.log_record(store, None, "paged", record)
    mlflow = client(store)
    paged = mlflow.search_runs
    monkeypatch.setattr(mlflow, "search_runs", lambda *a, **k: paged(*a, **{**k, "max_results": 1}))
    assert len(list(tracking.fetch_records(store, None))) > 1


def test_a_sweep_comes_back_with_its_tables(store, tmp_path):
    sweep = Sweep(
        experiment="exp", table="cresswell", arms=["b" * 16], evaluations=["fairness-1"], names={}
    )
    assert tracking.fetch_sweep(store, None, "exp") is None
    store.write_sweep(sweep)
    table = tmp_path / "exp.md"
    table.write_text("| a |")
    parent = tracking.prepare(store, None, "exp")
    tracking.log_sweep(store, None, parent, sweep, [table])
    assert tracking.fetch_sweep(store, None, "exp") == sweep
    mlflow = client(store)
    assert [a.path for a in mlflow.list_artifacts(parent, "tables")] == ["tables/exp.md"]


def test_the_store_remembers_which_tables_are_uploaded(store, tmp_path):
    sweep = Sweep(
        experiment="exp", table="cresswell", arms=["b" * 16], evaluations=["fairness-1"], names={}
    )
    store.write_sweep(sweep)
    table = tmp_path / "exp.md"
    table.write_text("| a |")
    store.tracked_sweep_file("exp").unlink(missing_ok=True)
    assert not tracking.sweep_uploaded(store, None, sweep, [table])
    parent = tracking.prepare(store, None, "exp")
    tracking.log_sweep(store, None, parent, sweep, [table])
    assert tracking.sweep_uploaded(store, None, sweep, [table])
    assert not tracking.sweep_uploaded(store, "http://127.0.0.1:9", sweep, [table])
    other = sweep.model_copy(update={"arms": []})
    assert not tracking.sweep_uploaded(store, None, other, [table])
    table.write_text("| b |")
    assert not tracking.sweep_uploaded(store, None, sweep, [table])


def test_an_address_is_absolute_and_a_server_stays_as_given(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tracking.resolve(store, "sqlite:///my.db") == f"sqlite:///{tmp_path / 'my.db'}"
    assert tracking.resolve(store, "http://host:5000") == "http://host:5000"
    assert tracking.resolve(store, None) == f"sqlite:///{store.root / 'mlflow.db'}"


def test_a_server_that_does_not_answer_is_a_tracking_error(store):
    for call in (
        lambda uri: tracking.prepare(store, uri, "exp"),
        lambda uri: tracking.log_record(store, uri, "exp", make_record()),
        lambda uri: list(tracking.fetch_records(store, uri)),
    ):
        with pytest.raises(tracking.TrackingError, match="9 failed: the server does not"):
            call("http://127.0.0.1:9")


def test_a_database_that_cannot_be_made_is_a_tracking_error(store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(tracking.TrackingError, match="cannot be opened"):
        tracking.prepare(store, f"sqlite:///{tmp_path}/file/x.db", "exp")
    (tmp_path / "other.db").write_text("no database at all, but long enough to look like one")
    with pytest.raises(tracking.TrackingError, match="cannot be opened"):
        tracking.prepare(store, f"sqlite:///{tmp_path}/other.db", "exp")


def test_telemetry_is_off():
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_long_value_is_cut_between_words_and_says_where_it_is_whole():
    record = make_record(status="failed", reason="the data are wrong " * 900)
    told = tracked.tags(record, "x", "none")["trustbench.reason"]
    assert len(told) <= 6000
    assert told.endswith(" data are ... (the whole text is in record.json)")


def test_evaluations_with_other_settings_get_names_of_their_own():
    record = make_record()
    one = record.evaluations["fairness-12345678"]
    both = record.model_copy(
        update={"evaluations": {"fairness-12345678": one, "fairness-87654321": one}}
    )
    names = {p.name for p in tracked.metrics(both)}
    assert {"fairness-12345678/m0", "fairness-87654321/m0"} <= names
