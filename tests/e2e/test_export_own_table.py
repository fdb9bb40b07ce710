"""A model of the user's own table, exported: it is audited and served with the record's numbers."""

import pytest

import trustbench
from tests.unit.api.audited import made_table
from trustbench.commands.cli import main

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
