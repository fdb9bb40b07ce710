"""A DataFrame from a notebook is the same data as its file."""

import pandas as pd
import pytest

import trustbench
from tests.unit.datasets.own.people import people
from trustbench.api.own_tables import keep_table
from trustbench.errors import DataError, UserError

SMALL = {
    "training.epochs": 1,
    "protocol.replicates": 2,
    "evaluator": ["utility", "fairness"],
    "dataset.target": "approved",
    "dataset.sensitive": ["sex"],
    "dataset.drop": ["applied", "household"],
}


def test_a_run_on_a_frame_is_the_run_on_its_file(tmp_path, capsys):
    table = people(400)
    table["late"] = (table["approved"] == "yes") * 3.0
    [from_frame] = trustbench.run(SMALL, table=table, output_dir=tmp_path / "a")
    told = "the level of late agrees with approved in 100 % of the rows"
    assert capsys.readouterr().err.count(told) == 1
    table.to_parquet(tmp_path / "people.parquet")
    file = {"dataset": "table", "dataset.path": tmp_path / "people.parquet"}
    [from_file] = trustbench.run(file, SMALL, output_dir=tmp_path / "b")
    assert from_frame.id == from_file.id
    assert capsys.readouterr().err.count(told) == 1
    changed = table.assign(income=table["income"] + 1000 * (table["sex"] == "male"))
    [other] = trustbench.run(SMALL, table=changed, output_dir=tmp_path / "a")
    assert other.id != from_frame.id


def test_a_file_that_changes_is_read_again_and_a_wrong_one_is_refused_once(tmp_path):
    path = tmp_path / "people.csv"
    file = {"dataset": "table", "dataset.path": path}
    people(400).to_csv(path, index=False)
    [before] = trustbench.run(file, SMALL, output_dir=tmp_path)
    people(400, seed=1).to_csv(path, index=False)
    [after] = trustbench.run(file, SMALL, output_dir=tmp_path)
    assert before.id != after.id
    with pytest.raises(UserError, match=r"^dataset table: dataset\.target names 'yes'"):
        trustbench.run(file, SMALL, {"dataset.target": "yes"}, output_dir=tmp_path)


def test_a_frame_that_is_no_file_gets_one_sentence(tmp_path):
    with pytest.raises(DataError, match="column 0 has a name that is not text"):
        keep_table(pd.DataFrame([[1, 2]]), tmp_path)
    with pytest.raises(DataError, match="values of one type"):
        keep_table(pd.DataFrame({"a": [1, "x", [2]]}), tmp_path)
    with pytest.raises(DataError, match="values of one type"):
        keep_table(pd.DataFrame({"a": [10**30]}), tmp_path)
    with pytest.raises(DataError, match="table is a list"):
        keep_table([1], tmp_path)


def test_the_rows_are_kept_below_the_output_folder_wherever_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trustbench.run({**SMALL, "output_dir": tmp_path / "named"}, table=people(400))
    assert len(list((tmp_path / "named" / "given").iterdir())) == 1
    assert not (tmp_path / "outputs").exists()


def test_a_kept_table_that_changed_is_never_read(tmp_path, capsys):
    """Its name is the digest of its content: other rows of the same form would pass unnoticed."""
    table = people(400)
    [before] = trustbench.run(SMALL, table=table, output_dir=tmp_path)
    (path,) = (tmp_path / "given").iterdir()
    whole = path.read_bytes()
    table.iloc[::-1].to_parquet(path, index=False)
    file = {"dataset": "table", "dataset.path": path}
    with pytest.raises(DataError, match="is not the table that was given"):
        trustbench.run(file, SMALL, {"seed": 1}, output_dir=tmp_path)
    capsys.readouterr()
    [after] = trustbench.run(SMALL, table=table, output_dir=tmp_path)
    assert capsys.readouterr().err.count("its content does not match its name") == 1
    assert (after.id, path.read_bytes()) == (before.id, whole)
