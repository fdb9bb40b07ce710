"""`trustbench report`, and the report that a sweep leaves."""

import pytest

from tests.unit.summary.report.report_data import arrays, parse, whole
from trustbench.api import reports as command
from trustbench.api.lookup import find_table
from trustbench.commands import cli
from trustbench.errors import UserError
from trustbench.store.records import Store, Sweep
from trustbench.summary.report import document
from trustbench.summary.table.table import summarize

pytestmark = pytest.mark.usefixtures("handmade_ids")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "out")
    records = whole()
    for each in records:
        store.write(each, arrays(each.id))
    evaluations = sorted({k for r in records for k in r.evaluations})
    sweep = Sweep(
        experiment="smoke",
        table="cresswell",
        arms=[r.id for r in records],
        evaluations=evaluations,
        names={},
    )
    store.write_sweep(sweep)
    return store, records, sweep


def test_the_command_writes_one_file(store, tmp_path, capsys):
    out = tmp_path / "deep" / "r.html"
    code = cli.main(["report", "--from", str(store[0].root), "--output", str(out)])
    assert code == 0, capsys.readouterr().err
    text = out.read_text()
    root = parse(text)
    assert "trustbench run +experiment=smoke" in root.text()
    assert "Reliability of dpsgd" in text
    assert list(out.parent.iterdir()) == [out]


def test_the_command_says_what_is_wrong(store, tmp_path, capsys):
    root = str(store[0].root)
    blocked = tmp_path / "file"
    blocked.write_text("")
    (tmp_path / "empty").mkdir()
    wrong = {
        "no sweep of experiment 'smok' is stored": ["--from", root, "--experiment", "smok"],
        "is not a folder of records": ["--from", f"{root}x"],
        "unknown table": ["--from", root, "--table", "creswell"],
        "cannot be written": ["--from", root, "--output", str(blocked / "r.html")],
        "there is no record to make a report of": ["--from", str(tmp_path / "empty")],
    }
    for sentence, args in wrong.items():
        assert cli.main(["report", *args]) == 2
        assert sentence in capsys.readouterr().err


def test_a_sweep_keeps_its_report_and_shares_it_unless_it_is_large(store, monkeypatch):
    where, records, sweep = store
    results = summarize(records, find_table("cresswell", None), sweep.evaluations)
    path = command.write_report(results, records, where, sweep)
    assert path == where.table_file("smoke", "html")
    assert path.read_text().startswith("<!doctype html>")
    monkeypatch.setattr(command, "LARGEST", 1000)
    path.unlink()
    assert command.write_report(results, records, where, sweep) is None
    assert path.exists()


def test_no_table_is_an_error_and_no_empty_page():
    with pytest.raises(UserError, match="no record to make a report of"):
        document([], [], None, arrays)
