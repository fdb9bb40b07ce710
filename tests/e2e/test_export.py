"""From a measured arm to a served model: raw rows in, the record's numbers out."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import trustbench
from tests.unit.datasets.real_data import watched
from trustbench.commands.cli import main
from trustbench.contracts.seeding import Streams
from trustbench.datasets.german import German

METHODS = "intervention=[threshold_postprocessing,conformal,saliency]"
SMALL = {
    "dataset": "german",
    "dataset.sensitive": "sex",
    "training.epochs": 3,
    "protocol.replicates": 2,
    "evaluator": ["utility", "fairness"],
}
SERVE = """
import json, sys, warnings
warnings.simplefilter("ignore")
import mlflow, pandas as pd
rows = pd.read_csv(sys.argv[1])
told = {}
for path in sys.argv[2:]:
    model = mlflow.pyfunc.load_model(path)
    answers = model.predict(rows, params={"explanations": False})
    told[path] = [list(answers.decision), list(answers.columns)]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def records(store, shared_data):
    return trustbench.run(SMALL, METHODS, output_dir=store, data_dir=shared_data)


@pytest.fixture
def raw(shared_data, monkeypatch):
    """The rows of the test split as the file has them, and their true classes."""
    seen = watched(monkeypatch)
    problem = German(sensitive="sex").load(shared_data, Streams(0))
    rows = seen["files"][0].loc[seen["frame"].index].iloc[seen["rows"]]
    y = problem.rows("test")[1]
    test = rows.iloc[problem.splits["test"]].drop(columns="risk")
    return test, np.array(problem.classes)[y]


def accuracies(records):
    return trustbench.load_records(records.store.root).frame().query("metric == 'accuracy'").value


@pytest.mark.slow
def test_a_served_model_gives_the_numbers_of_the_record(records, raw, tmp_path, shared_data):
    test, y = raw
    test.to_csv(tmp_path / "rows.csv", index=False)
    paths = [tmp_path / f"model-{k}" for k in (0, 1)]
    for k, path in enumerate(paths):
        trustbench.export(
            records, records[0].id, replicate=k, to="mlflow", output=path, data_dir=shared_data
        )
    said = subprocess.run(
        [sys.executable, "-c", SERVE, tmp_path / "rows.csv", *paths],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(said.stdout.splitlines()[-1])
    for path, measured in zip(paths, accuracies(records), strict=True):
        decisions, columns = told[str(path)]
        assert np.mean(np.array(decisions) == y) == pytest.approx(measured, abs=1e-9)
        assert columns[:3] == ["decision", "probability: bad risk", "probability: good risk"]
        assert "aps set: good risk" in columns
        assert not [c for c in columns if c.startswith("explanation")]
    direct = trustbench.load_model(paths[1]).predict(test)
    assert list(direct.decision) == told[str(paths[1])][0]
    assert "explanation: age" in direct.columns


def test_a_folder_is_loaded_without_data_and_refused_when_changed(
    records, raw, tmp_path, shared_data, capsys
):
    arguments = ["--from", str(records.store.root), "--arm", records[0].id, "--replicate", "1"]
    arguments += ["--data-dir", str(shared_data), "--output", str(tmp_path / "model")]
    assert main(["export", *arguments]) == 0
    assert "replicate 1 of 2, trained on half of the training pool" in capsys.readouterr().out
    test, y = raw
    model = trustbench.load_model(tmp_path / "model")
    found = model.predict(test, explanations=False)
    assert (found.decision == y).mean() == pytest.approx(accuracies(records).iloc[1], abs=1e-9)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "replicate 1 of 2" in card and "No row of the data." in card
    thresholds = json.loads((tmp_path / "model" / "thresholds.json").read_text())
    assert {"ThresholdPostprocessing/thresholds", "SplitConformalSets/aps"} <= set(thresholds)
    with pytest.raises(trustbench.DataError, match="column purpose holds 'A4'"):
        model.predict(test.assign(purpose="A4"))
    with pytest.raises(trustbench.DataError, match="the table has no column personal_status_sex"):
        model.predict(test.drop(columns="personal_status_sex"))
    with pytest.raises(trustbench.DataError, match=r"the rows are a dict; give a pandas.DataFrame"):
        model.predict(test.iloc[0].to_dict())
    with pytest.raises(trustbench.DataError, match="the rows have several columns named purpose"):
        model.predict(test.assign(extra="A40").rename(columns={"extra": "purpose"}))
    assert main(["export", *arguments]) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    weights = tmp_path / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(trustbench.UserError, match="missing or changed"):
        trustbench.load_model(tmp_path / "model")


@pytest.mark.slow
def test_a_private_arm_is_refitted_with_system_noise_and_its_scope(store, shared_data, tmp_path):
    private = trustbench.run(
        {**SMALL, "evaluator": ["utility", "privacy"]},
        "intervention=dpsgd",
        "intervention.dpsgd.epochs=2",
        output_dir=store,
        data_dir=shared_data,
    )
    arm = private[0].id
    with pytest.raises(trustbench.UserError, match="give --refit all, which trains with noise=sys"):
        trustbench.export(private, arm, replicate=0, output=tmp_path / "no", data_dir=shared_data)
    made = trustbench.export(private, arm, to="onnx", output=tmp_path / "all", data_dir=shared_data)
    assert made.model.spec.facts["dp_noise"] == "system"
    card = (tmp_path / "all" / "README.md").read_text()
    assert "trained on the whole training pool" in card and "privacy claim void" in card
    assert "not measured again" in card or "privacy: " in card
    onnx = pytest.importorskip("onnxruntime")
    session = onnx.InferenceSession(tmp_path / "all" / "model.onnx")
    rows = pd.concat([made.model.example()] * 3)
    feed = {
        i.name: rows[[i.name]].to_numpy(dtype=float if "double" in i.type else object)
        for i in session.get_inputs()
    }
    found = session.run(["probabilities"], feed)[0]
    assert np.allclose(found, made.model.predict_proba(rows), atol=1e-5)
    feed["purpose"] = np.array([["A40"], ["unknown"], ["A41"]], dtype=object)
    assert np.isnan(session.run(["probabilities"], feed)[0]).any(1).tolist() == [0, 1, 0]


def test_an_arm_is_named_or_selected(records, shared_data, tmp_path):
    with pytest.raises(trustbench.UserError, match="give --arm LABEL, or --policy NAME"):
        trustbench.export(records, replicate=0, data_dir=shared_data)
    with pytest.raises(trustbench.UserError, match="--replicate 2 is not one of the arm's, 0 to 1"):
        trustbench.export(records, records[0].id, replicate=2, data_dir=shared_data)
    with pytest.raises(trustbench.UserError, match="cannot export to 'pickle'"):
        trustbench.export(records, records[0].id, replicate=0, to="pickle")
    with pytest.raises(trustbench.UserError, match=r"german\.data"):
        trustbench.export(records, records[0].id, replicate=0, data_dir=tmp_path)
