"""A sweep leaves its report on disk and on the tracking server."""

from trustbench import tracking
from trustbench.store.records import Store
from trustbench.tracking.server import TrackingServer


def test_a_sweep_writes_and_logs_its_report(outside, tb):
    done = tb(
        "run", "-m", *outside.args, "intervention=none,balanced_weights",
        "evaluator=[utility,fairness,uncertainty]",
    )  # fmt: skip
    assert done.code == 0, done.err
    store = Store(outside.outputs)
    path = store.table_file("default", "html")
    text = path.read_text()
    assert "toy / tiny" in text
    assert "Reliability of balanced_weights (tuned)" in text
    assert "Accuracy by group of balanced_weights (tuned)" in text
    run = tracking.prepare(store, None, "default")
    logged = {a.path for a in TrackingServer(store, None).call("list_artifacts", run, "tables")}
    assert "tables/default.html" in logged
    again = outside.folder / "again.html"
    assert tb("report", "--output", again).code == 0
    assert again.read_text() == text


def test_a_report_is_made_from_the_server_alone(outside, tb):
    tb("run", "-m", *outside.args, "intervention=none,balanced_weights", "evaluator=utility")
    uri = tracking.resolve(Store(outside.outputs), None)
    out = outside.folder / "server.html"
    done = tb(
        "report", "--tracking-uri", uri, "--experiment", "default",
        "--from", outside.folder / "elsewhere", "--output", out,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "Not stored: no arm has fairness/group_accuracy" in out.read_text()
