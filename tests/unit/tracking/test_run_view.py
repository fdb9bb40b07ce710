"""What people see of a store on a tracking server: effects, the table, times, the data set."""

import json

import pytest

from tests.unit.summary.builder import CRESSWELL
from tests.unit.summary.report.report_data import whole
from tests.unit.tracking.test_tracking import make_record
from trustbench import tracking
from trustbench.api.metric_checks import with_declarations
from trustbench.config.compose import conf_dir
from trustbench.config.declared_metrics import declared_metrics
from trustbench.contracts.metrics import Metric, find_in
from trustbench.store.records import MeasurementRecord, Store, Sweep
from trustbench.summary.render import wording as w
from trustbench.summary.table.table import summarize
from trustbench.tracking.server import client, resolve

pytestmark = pytest.mark.usefixtures("handmade_ids")


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path)
    tracking.prepare(made, None, "default", sweep=False)
    return made


def test_a_sweeps_run_has_every_effect_and_the_table(store):
    sweep = Sweep(experiment="exp", table="cresswell", arms=[], evaluations=[], names={})
    store.write_sweep(sweep)
    metrics = declared_metrics([conf_dir()])
    results = summarize(whole(), with_declarations(CRESSWELL, metrics))
    parent = tracking.prepare(store, None, "exp")
    tracking.log_sweep(store, None, parent, sweep, [], results)
    run = client(resolve(store, None)).get_run(parent)
    measured = [c for c in results[0].cells if c.source and c.estimate.effect]
    assert measured
    for cell in measured:
        name = f"effect/{cell.source.value} on {cell.target}"
        assert run.data.metrics[name] == cell.estimate.effect.effect
        assert run.data.metrics[f"{name}.low"] == cell.estimate.effect.low
    assert len(run.data.metrics) == 3 * len(measured)
    said = run.data.tags["mlflow.note.content"]
    for cell in measured:
        assert f"{w.short(cell.verdict)} {w.number(cell.estimate.effect.effect)} |" in said
    explained = find_in(metrics, "utility/accuracy").explanation
    assert f"- `utility/accuracy`: {explained}\n" in said


def test_an_arms_run_has_its_own_times_and_data_and_no_diagnostics(store):
    hidden = MeasurementRecord(
        values=[1.0, 2.0], higher_is_better=True, unit="count", n=9, diagnostic=True
    )
    record = make_record(seconds=90.0)
    key, evaluation = next(iter(record.evaluations.items()))
    shown = {**evaluation.measurements, "hidden": hidden}
    changed = {key: evaluation.model_copy(update={"measurements": shown})}
    record = store.write(record.model_copy(update={"evaluations": changed}))
    declared = {"fairness": (Metric("m<n>", "How unequal.", "fraction", "higher"),)}
    run_id = tracking.log_record(store, None, "default", record, declared=declared)
    run = client(resolve(store, None)).get_run(run_id)
    assert run.info.end_time - run.info.start_time == 90_000
    assert not [name for name in run.data.metrics if "hidden" in name]
    assert "fairness/m0" in run.data.metrics
    assert run.data.tags["mlflow.note.content"].splitlines()[0] == (
        "- `fairness/m0`: How unequal. Unit: fraction; higher is better."
    )
    dataset = run.inputs.dataset_inputs[0].dataset
    assert json.loads(dataset.profile)["rows"] == record.problem.sizes
    assert dataset.digest == record.problem.fingerprint[:36]


def test_a_new_database_has_one_default_experiment(store):
    names = [e.name for e in client(resolve(store, None)).search_experiments()]
    assert names == ["default"]
