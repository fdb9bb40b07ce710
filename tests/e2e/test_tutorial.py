"""The tutorial succeeds: its commands run in order in an empty folder, at a small size."""

import shutil
from pathlib import Path

import pytest

from tests.unit.test_docs import NAMED, blocks, commands, run_lines, text
from trustbench.store.records import Store

pytestmark = pytest.mark.slow
PAGE = "docs/tutorial.md"
SMALL = ["protocol.replicates=4", "training.epochs=2", "hydra/launcher=basic"]
"""Given after the page's own settings, so that these win."""
GERMAN = Path(__file__).resolve().parents[3] / "shared" / "data" / "german"


def carry_out(body):
    exec(compile(body, PAGE, "exec"), {})


def steps():
    """The page's commands by their first word; `run` and `plan` of the whole table are checked."""
    found = list(commands(PAGE))
    assert [words[0] for words in found] == [
        "data", "data", "run", "cell", "gate", "report", "plan", "run",
    ]  # fmt: skip
    return found


def test_every_command_of_the_tutorial_works(tutorial_folder, tb):
    fetch, check, run, cell, gate, report, _, _ = steps()
    real, invented = blocks(PAGE, "python")
    if GERMAN.is_dir():
        shutil.copytree(GERMAN, tutorial_folder / "data" / "german")
        assert tb(*fetch).code == 0
        carry_out(real)
    else:
        carry_out(invented)
    for name, body in NAMED.findall(text(PAGE)):
        (tutorial_folder / name).write_text(body)

    checked = tb(*check)
    assert checked.code == 0, checked.err
    assert "below 26" in checked.out
    assert "written: credit.yaml" in checked.out

    ran = tb(*run, *SMALL)
    assert ran.code == 0, ran.err
    assert {r.status for r in Store(tutorial_folder / "outputs").records()} == {"ok"}
    table = ran.out.partition("Notes")[0]
    assert "balanced_weights" in table
    assert "n=4" in table

    assert "measured here\n" in tb(*cell).out
    decided = tb(*gate)
    assert decided.code in (0, 3, 4), decided.err
    assert "policy lending 1: " in decided.out
    assert "F→F fairness/eo_gap (tuned) against none" in decided.out
    assert tb(*report).code == 0
    assert "balanced_weights" in (tutorial_folder / "report.html").read_text()


def test_the_invented_table_is_understood_and_the_whole_table_can_be_planned(tutorial_folder, tb):
    _, check, *_, plan, whole = steps()
    carry_out(blocks(PAGE, "python")[1])
    checked = tb(*check)
    assert checked.code == 0, checked.err
    assert "warning" not in checked.out
    planned = tb(*plan)
    assert planned.code == 0, planned.err
    assert "mondrian" in planned.out
    assert whole[1:2] == dict(run_lines())["full_table"][1:]
    assert plan[1:] == whole[1:], "what is planned is what runs"
