"""A record of other content than its id says is read by no command, even if its checksum fits."""

import json

import pytest

from tests.unit.commands.test_gate_command import DP, GAP, write_store
from tests.unit.summary.builder import method, record, truly_named
from trustbench.commands import cli
from trustbench.store.reading import sealed

PGD = method("pgd_at", eps=0.1)


@pytest.fixture
def store(tmp_path):
    """A baseline and two arms; one of these now describes another seed."""
    records = [truly_named(r) for r in (record(), record(DP, shift={GAP: 0.3}), record(PGD))]
    made = write_store(tmp_path / "outputs", records)
    path = made.arm_dir(records[1].id) / "record.json"
    content = json.loads(path.read_bytes())
    content["arm"]["seed"] = 7
    path.write_text(json.dumps(sealed(content)))
    return made, path


@pytest.mark.parametrize(
    "asked",
    [
        ["summarize", "--format", "json"],
        ["gate", "--policy", "research"],
        ["select", "--policy", "research"],
        ["report", "--output", "{folder}/report.html"],
        ["card", "--arm", "pgd_at"],
    ],
    ids=lambda asked: asked[0],
)
def test_readers_leave_it_out_with_one_warning(store, tmp_path, capsys, asked):
    made, path = store
    args = [a.format(folder=tmp_path) for a in asked]
    code = cli.main([*args, "--from", str(made.root)])
    said = capsys.readouterr()
    assert code in (0, 3, 4), said.err
    assert said.err.count("is not the record of this arm: it describes arm") == 1
    page = tmp_path / "report.html"
    shown = said.out + (page.read_text() if page.exists() else "")
    assert "pgd_at" in shown
    assert path.parent.name not in shown


def test_a_file_that_is_given_is_refused(store, capsys):
    made, path = store
    other = next(p for p in path.parents[1].glob("*/record.json") if p != path)
    pair = ["--baseline", str(other), "--candidate", str(path)]
    assert cli.main(["gate", "--policy", "research", *pair, "--from", str(made.root)]) == 2
    assert "is not the record of this arm" in capsys.readouterr().err
