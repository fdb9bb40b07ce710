"""`trustbench data check` of a user's own table: what is printed, and the schema that it writes."""

import pytest
import yaml

from tests.unit.datasets.own.people import people
from trustbench.commands import cli
from trustbench.config.compose import run_request
from trustbench.contracts.seeding import Streams
from trustbench.errors import ConfigError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a table in it."""
    table = people()
    table.loc[::10, "tenure"] = float("nan")
    table["zip"] = [f"z{k % 400}" for k in range(len(table))]
    table[["note_0", "note_1"]] = table[["income", "age"]].to_numpy() / 7
    table.to_csv(tmp_path / "people.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


ASKED = [
    "dataset=table",
    "dataset.path=people.csv",
    "dataset.target=approved",
    "dataset.sensitive=[sex,age]",
    "dataset.columns.age.bins=[40]",
    "dataset.columns.applied.parts=[month]",
    "dataset.columns.tenure.change=up",
    "dataset.drop=[household]",
    "dataset.embedding=[note_*]",
]


def fingerprint(overrides, folder):
    arm = run_request(overrides).first
    return arm.dataset.plugin.load(folder, Streams(0)).fingerprint


def test_it_prints_what_was_understood_and_writes_a_schema_that_gives_the_same(folder, capsys):
    assert cli.main(["data", "check", *ASKED]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = {}
    for line in filter(str.strip, lines):
        told.setdefault(line.split()[0], " ".join(line.split()))
    assert lines[0] == "1,200 rows, 11 columns"
    assert told["tenure"].startswith("tenure number 0 | ")
    assert told["tenure"].endswith(" 120 input, only up")
    assert told["sex"].endswith(" 0 input, sensitive, immutable")
    assert "400 rare levels (1,200 rows) become other" in told["zip"]
    assert told["household"].endswith("left out")
    assert told["note"] == "note (2 columns) embedding numbers 0 input"
    assert told["applied"].startswith("applied date 2019-01-0")
    assert told["target"].startswith("target approved: no ")
    assert told["favourable:"] == "favourable: yes, assumed"
    assert (
        "warning: no favourable class is declared, so yes, the last of no and yes, is t"
        in " ".join(lines)
    )
    assert "groups by sex x age:" in lines
    assert any(line.strip().startswith("sex male, age 40 and above") for line in lines)
    assert told["test"].startswith("test 300")
    written = yaml.safe_load((folder / "people.schema.yaml").read_text())
    assert written["columns"]["applied"] == {"kind": "date", "parts": ["month"]}
    assert written["reading"]["separator"] == ","
    again = ["dataset=table", "dataset.schema=people.schema.yaml"]
    assert fingerprint(again, folder) == fingerprint(ASKED, folder)
    other = fingerprint([*again, "dataset.sensitive=[sex]"], folder)
    assert other != fingerprint(again, folder)


def test_a_schema_is_found_from_elsewhere_and_is_not_overwritten(folder, capsys, monkeypatch):
    assert cli.main(["data", "check", *ASKED]) == 0
    assert cli.main(["data", "check", *ASKED]) == 0, "the same again changes nothing"
    assert cli.main(["data", "check", *ASKED, "dataset.min_group=50"]) == 2
    assert "exists and holds something else; move it, or give" in capsys.readouterr().err
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert fingerprint(["dataset=table", "dataset.schema=../people.schema.yaml"], folder)


def test_without_a_target_it_says_what_comes_next(folder, capsys):
    assert cli.main(["data", "check", *ASKED[:2], "--schema", "mine.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "next: name the class to predict, dataset.target=COLUMN" in lines
    assert any(line.split()[:1] == ["income"] for line in lines)
    assert (folder / "mine.yaml").is_file()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["data", "check", "dataset=digits"], "has a loader of its own; run `trustbench data che"),
        (["data", "check", "dataset=table"], "no file is given; name yours with dataset.path=FI"),
        (["data", "check", *ASKED[:1], "dataset.path=x.csv"], "there is no file"),
        (["data", "check"], "needs the name of one dataset"),
        (["data", "list", "adult"], "takes no name"),
    ],
)
def test_a_wrong_check_gets_one_sentence(folder, capsys, args, says):
    assert cli.main(args) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("target: approved\nsensitiv: [sex]\n", "unknown key sensitiv; did you mean 'sensitive'"),
        ("- a\n", "holds no keys with values"),
        ("target: a\ntarget: b\n", "target is given twice"),
        ("columns: {age: {binz: [3]}}\n", "unknown key dataset.columns.age.binz; did you mean"),
        ("split: {by: moon}\n", "dataset.split.by is 'moon'; it should be 'random'"),
    ],
)
def test_a_wrong_schema_gets_one_sentence(folder, text, says):
    (folder / "s.yaml").write_text(text)
    with pytest.raises(ConfigError, match=says.replace("[", r"\[")):
        run_request(["dataset=table", "dataset.schema=s.yaml"])
