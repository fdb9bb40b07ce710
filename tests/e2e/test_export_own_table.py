"""A model of a user's own table, exported: it is audited and served with the record's numbers."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import trustbench
from tests.unit.api.audited import made_table
from trustbench.commands.cli import main
from trustbench.tracking.server import client, resolve

ARM = {
    "dataset": "table",
    "dataset.target": "repaid",
    "dataset.sensitive": ["town"],
    "dataset.split.by": "column",
    "dataset.split.column": "part",
    "protocol.replicates": 2,
    "training.epochs": 3,
    "evaluator": ["utility", "fairness"],
}
AUDIT = {"target": "repaid", "sensitive": "town", "split_column": "part", "draws": 100}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("own")
    made_table().to_csv(made / "credit.csv", index=False)
    return made


def measured(folder, *methods):
    """The records of an arm on the table."""
    arm = {**ARM, "dataset.path": str(folder / "credit.csv")}
    return trustbench.run(arm, *methods, output_dir=folder / "store")


@pytest.fixture(scope="module")
def records(folder):
    return measured(folder)


def of_replicate(records, replicate):
    """Metric -> its number in one replicate of the first record."""
    rows = records.frame().query("replicate == @replicate")
    return dict(zip(rows.evaluator + "/" + rows.metric, rows.value, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("to", ["folder", "mlflow"])
def test_an_export_is_audited_by_its_path(to, records, folder, capsys):
    trustbench.export(records, records[0].id, replicate=1, to=to, output=folder / to)
    flags = ["--target", "repaid", "--sensitive", "town", "--split-column", "part"]
    flags += ["--evaluator", "utility,fairness", "--draws", "100", "--output-dir", str(folder)]
    words = ["audit", "--model", str(folder / to), "--data", str(folder / "credit.csv"), *flags]
    assert main(words) == 0
    assert "a model exported by trustbench" in capsys.readouterr().out
    found = trustbench.audit(folder / to, folder / "credit.csv", evaluators=["utility"], **AUDIT)
    wanted = of_replicate(records, 1)
    for metric in ("utility/accuracy", "utility/balanced_accuracy", "utility/auc"):
        assert found.record.metrics[metric].number.value == pytest.approx(wanted[metric], abs=1e-6)
    assert found.record.model["record"] == records[0].id
    card = next((folder / to).rglob("README.md")).read_text(encoding="utf-8")
    about = next(line for line in card.splitlines() if line.startswith("- Data set: table"))
    assert "target=repaid" in about and "split.column=part" in about
    assert not {"None", "min", "reading", "leakage"} & set(re.findall(r"[A-Za-z]+", about))
    with pytest.raises(trustbench.DataError, match="the table has no column income"):
        trustbench.audit(folder / to, made_table().drop(columns="income"), **AUDIT)


@pytest.mark.slow
def test_an_audit_measures_the_decisions_that_are_deployed(folder):
    fair = measured(folder, "intervention=threshold_postprocessing")
    made = trustbench.export(fair, fair[0].id, replicate=0, output=folder / "fair")
    table = made_table()
    few = {**AUDIT, "evaluators": ["utility", "uncertainty"]}
    found = trustbench.audit(made.model, table, **few).record
    decided = made.model.predict(table, explanations=False).decision
    share = (decided == table.repaid)[table.part == "test"].mean()
    assert found.metrics["utility/accuracy"].number.value == pytest.approx(share)
    assert "utility/auc" in found.missing  # scores are not what decides
    assert found.model["outputs"] == "decisions, drawn anew for each place in a table"


def test_a_folder_that_is_not_a_model_is_refused_with_the_kinds(folder, tmp_path):
    with pytest.raises(trustbench.UserError, match=r"a folder that `trustbench export` wrote"):
        trustbench.audit(tmp_path, made_table(), **AUDIT)


SERVE = """
import json, socket, sys, threading, time, warnings
warnings.simplefilter("ignore")
import mlflow, requests, uvicorn
from mlflow.pyfunc.scoring_server import init

uri, source, rows = sys.argv[1:]
mlflow.set_tracking_uri(uri)
app = init(mlflow.pyfunc.load_model(source))
listening = socket.socket()
listening.bind(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
threading.Thread(target=server.run, args=([listening],), daemon=True).start()
while not server.started:
    time.sleep(0.05)
address = f"http://127.0.0.1:{listening.getsockname()[1]}/invocations"
content = {"dataframe_split": json.load(open(rows)), "params": {"explanations": False}}
answer = requests.post(address, json=content, timeout=60)
refused = requests.post(address, json={"dataframe_records": [{"income": 1.0}]}, timeout=60)
print(json.dumps([answer.status_code, answer.json(), refused.status_code, refused.text]))
"""


@pytest.fixture(scope="module")
def uri(records, folder):
    """The address of a server that has the first replicate as models:/credit/1."""
    words = ["--from", str(folder / "store"), "--arm", records[0].id, "--replicate", "0"]
    words += ["--to", "mlflow", "--name", "credit", "--output", str(folder / "registered")]
    assert main(["export", *words]) == 0
    return resolve(records.store, None)


@pytest.mark.slow
def test_a_registered_model_is_audited_by_its_name(records, folder, uri, capsys):
    """Wholly from the registry, a local database: the exported folder itself is elsewhere."""
    (folder / "registered").rename(folder / "moved")
    assert uri.startswith("sqlite:")
    words = [
        "audit", "--model", "models:/credit/1", "--option", f"tracking_uri={uri}",
        "--data", str(folder / "credit.csv"), "--target", "repaid", "--sensitive", "town",
        "--split-column", "part", "--evaluator", "utility,fairness", "--draws", "100",
        "--output-dir", str(folder / "audited"), "--format", "json",
    ]  # fmt: skip
    capsys.readouterr()
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = of_replicate(records, 0)
    for metric in ("utility/accuracy", "utility/auc", "fairness/acc_gap", "fairness/dp_gap"):
        number = found["metrics"][metric]["number"]["value"]
        assert number == pytest.approx(wanted[metric], abs=1e-6), metric
    assert found["model"]["record"] == records[0].id
    missing = [*words[:2], "models:/credit/2", *words[3:]]
    assert main(missing) == 2
    said = capsys.readouterr().err
    assert "models:/credit/2 cannot be fetched from MLflow" in said and "Traceback" not in said


@pytest.mark.slow
def test_a_registered_model_is_served_over_http_with_the_numbers_of_the_record(
    records, folder, uri
):
    version = client(uri).get_model_version("credit", "1")
    assert version.tags["trustbench.record"] == records[0].id
    run = client(uri).get_run(version.run_id)
    dataset = run.inputs.dataset_inputs[0].dataset
    columns = {c["name"]: c["type"] for c in json.loads(dataset.schema)["mlflow_colspec"]}
    assert columns == {"town": "string", "income": "double", "age": "double"}
    assert dataset.digest == records[0].problem.fingerprint[:36]
    assert json.loads(dataset.profile)["rows"]["test"] == 500
    path = client(uri).download_artifacts(version.run_id, "groups.json", str(folder))
    table = json.loads(Path(path).read_text())
    found = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert {row["group"] for row in found} == {"north", "south"}
    sizes = records[0].problem.group_sizes
    accuracy = {r["group"]: r["mean"] for r in found if r["metric"].endswith("/accuracy")}
    whole = sum(accuracy[g] * n for g, n in sizes.items()) / sum(sizes.values())
    means = records.frame().query("metric == 'accuracy'").value
    assert whole == pytest.approx(means.mean(), abs=1e-6)

    test = made_table().query("part == 'test'")
    (folder / "rows.json").write_text(test.drop(columns="repaid").to_json(orient="split"))
    said = subprocess.run(
        [sys.executable, "-c", SERVE, uri, "models:/credit/1", folder / "rows.json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not said.returncode, said.stderr
    code, answer, refused, why = json.loads(said.stdout.splitlines()[-1])
    decided = [row["decision"] for row in answer["predictions"]]
    share = (test.repaid == decided).mean()
    assert code == 200
    assert share == pytest.approx(of_replicate(records, 0)["utility/accuracy"], abs=1e-9)
    assert refused == 400 and "town" in why


@pytest.mark.slow
def test_a_refit_on_every_row_keeps_its_privacy_claim_with_declared_scales(folder):
    ends = {"income.low": -6, "income.high": 6, "age.low": 18, "age.high": 80}
    ends["town.levels"] = sorted(made_table().town.unique())
    bounds = {f"dataset.columns.{k}": v for k, v in ends.items()}
    cards = {}
    for scaling in ("learnt", "declared"):
        arm = {**ARM, "dataset.path": str(folder / "credit.csv"), **bounds}
        private = trustbench.run(
            {**arm, "dataset.scaling": scaling, "evaluator": ["utility"]},
            "intervention=dpsgd",
            "intervention.dpsgd.epochs=2",
            output_dir=folder / "private",
        )
        trustbench.export(private, private[0].id, output=folder / scaling)
        text = (folder / scaling / "README.md").read_text(encoding="utf-8")
        cards[scaling] = text[text.index("## Privacy") : text.index("## What the files hold")]
    assert "privacy claim void" in cards["learnt"]
    assert (
        "with dataset.scaling=declared, and the range or levels of each column" in cards["learnt"]
    )
    assert "void" not in cards["declared"] and "epsilon" in cards["declared"]
