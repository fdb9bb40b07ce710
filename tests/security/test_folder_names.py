"""Folders of any name hold all that a run writes, or are refused before anything is written."""

import contextlib
import os
import sqlite3

import pytest

from trustbench.api.runs import run
from trustbench.errors import UserError
from trustbench.store import addresses
from trustbench.store.records import Store

ODD = {
    "question": "a?b",
    "percent": "a%20b%",
    "sharp": "a#b",
    "separators": "a;b&c=d,e:f@g",
    "quotes": 'it\'s "so"',
    "braces": "{a}[b](c)$d",
    "backslash": "a\\b",
    "blanks": " a  b ",
    "letters": "Bäume 木",
    "long": "l" * 200,
}
ALL = "a?b%20#;&'\"{}[]\\ ä,=@:" + "l" * 100
REFUSED = {"line feed": "a\nb", "escape": "a\x1b[1mb", "not UTF-8": os.fsdecode(b"a\xffb")}


@pytest.fixture
def beside(tmp_path):
    """A folder with files that a cut or a decoded name would hit."""
    for name in ("a", "a b", "a b%", "it"):
        (tmp_path / name).write_text("mine")
    return tmp_path


def entries(folder):
    """{name: content or None} of what is in a folder."""
    return {p.name: p.read_text() if p.is_file() else None for p in folder.iterdir()}


@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
def test_the_tracking_database_is_in_its_folder(name, beside):
    from trustbench import tracking

    before, store = entries(beside), Store(beside / name)
    tracking.prepare(store, None, "exp")
    assert entries(beside) == {**before, name: None}
    assert {p.name for p in store.root.iterdir()} >= {"mlflow.db"}
    with contextlib.closing(sqlite3.connect(store.tracking_db)) as database:
        assert database.execute("select name from experiments where name = 'exp'").fetchall()
    address = tracking.resolve(store, None)
    assert tracking.resolve(store, address) == address
    assert addresses.file_of(address) == store.tracking_db


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_other_names_are_refused_before_anything_is_written(name, beside, tb, outside, spawn):
    before, folder = entries(beside), beside / name
    with pytest.raises(UserError) as refused:
        run("dataset=digits", output_dir=folder)
    assert "\n" not in str(refused.value)
    with pytest.raises(UserError):
        Store(folder)
    for args in (
        ["run", *outside.args, f"output_dir='{folder}'"],
        ["summarize", "--from", folder],
        ["doctor", "--from", folder],
        ["sync", "--from", folder, "--tracking-uri", "http://127.0.0.1:9"],
        ["sync", "--from", outside.outputs, "--tracking-uri", f"sqlite:///{folder}/x.db"],
    ):
        done = tb(*args)
        assert done.code == 2, (args, done.err)
        assert "Traceback" not in done.err
        assert len(done.err.splitlines()) == 1, done.err
    assert entries(beside) == before


@pytest.mark.slow
def test_every_command_works_in_and_writes_to_folders_of_odd_names(beside, outside, tb):
    """Outputs, data, tables, policies, options, exports, reports and the database of a user."""
    room = beside / "room"
    home = room / ALL
    home.mkdir(parents=True)
    data, policy = home / "rows.csv", home / "p.yaml"
    rows = (f"{i % 7},{i % 5},{'ab'[i % 2]},{['no', 'yes'][i * 7 % 3 > 0]}" for i in range(300))
    data.write_text("x,z,g,y\n" + "\n".join(rows) + "\n")
    policy.write_text("protect: [utility]\n")
    before, out = entries(beside), home / "out?%41"
    records = run(
        "model=logistic", "evaluator=[utility,fairness]", "training.epochs=2",
        "protocol.replicates=4", "dataset=table",
        {"dataset.path": data, "dataset.target": "y", "dataset.sensitive": "[g]"},
        output_dir=out, data_dir=home / "data",
    )  # fmt: skip
    assert [r.status for r in records] == ["ok"]
    other = addresses.of_file(home / "server?.db")
    arm = records[0].id
    for args in (
        ["doctor", "--from", out],
        ["sync", "--from", out, "--tracking-uri", other],
        ["card", "--from", out, "--arm", arm, "--output", home / "card?.md"],
        ["export", "--from", out, "--arm", arm, "--replicate", "0", "--output", home / "export#1"],
        ["summarize", "--from", out, "--output", home / "table;.md", "--format", "md"],
        ["report", "--from", out, "--output", home / "report'.html"],
        ["gate", "--from", out, "--policy", policy],
    ):
        done = tb(*args)
        assert "Traceback" not in done.err, (args, done.err)
        told = args[0] in ("summarize", "report", "gate")  # one arm has no effects to show
        assert done.code == 0 or (told and done.code == 2), (args, done.err)
    assert {p.name for p in home.iterdir()} >= {"out?%41", "server?.db", "card?.md", "export#1"}
    assert [p.name for p in room.iterdir()] == [ALL]
    assert {**entries(beside), "room": None} == before
