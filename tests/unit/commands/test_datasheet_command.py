"""The command that writes the datasheet of a data set: what it reads, and what it refuses."""

import numpy as np
import pytest

from tests.unit.commands.test_gate_command import write_store
from tests.unit.summary.builder import R, method, record
from tests.unit.summary.cards.test_card import front, section
from trustbench.commands import cli
from trustbench.store.records import Store

pytestmark = pytest.mark.usefixtures("handmade_ids")

DP = method("dpsgd", epsilon=3.0)


@pytest.fixture
def store(tmp_path):
    """A store of one sweep, a record of no sweep, and arrays beside the baseline."""
    found = write_store(tmp_path / "outputs", [record(), record(DP)])
    found.write(record(), {"fairness-s1/group_accuracy": np.full((R, 10), 0.5)})
    found.write(record(DP, seed=1))
    return found


def run(store, *args):
    return cli.main(["datasheet", "--from", str(store.root), *map(str, args)])


def test_the_datasheet_of_every_stored_record_is_written(store, tmp_path, capsys):
    out = tmp_path / "DATASHEET.md"
    assert run(store, "--output", out) == 0
    text = out.read_text()
    assert front(text)["pretty_name"] == "digits"
    measured = section(text, "What was measured on it")
    assert "| 0.5 [0.5, 0.5] n=16 |" in measured
    assert "`digits-dpsgd3.0-none-tuned-1`" in measured
    assert capsys.readouterr().out == ""
    assert run(store, "--dataset", "digits") == 0
    assert capsys.readouterr().out == text


def test_one_sweep_is_read_where_it_is_named(store, capsys):
    assert run(store, "--experiment", "dp_vs_fairness") == 0
    text = capsys.readouterr().out
    assert "`digits-dpsgd3.0-none-tuned-0`" in text
    assert "tuned-1`" not in text


def test_several_sweeps_need_no_choice(store, capsys):
    write_store(store.root, [record(seed=2)], experiment="another")
    assert run(store) == 0
    assert "`digits-none-none-tuned-2`" in capsys.readouterr().out


def test_what_cannot_be_answered_is_one_sentence(store, tmp_path, capsys):
    store.write(record(dataset="adult"))
    told = {
        (): "the records are of 2 data sets (adult, digits); choose one with --dataset.",
        ("--dataset", "adlut"): "no record of dataset 'adlut' is stored; did you mean 'adult'?",
        ("--experiment", "x"): "no sweep of experiment 'x' is stored; Available: dp_vs_fairness.",
        ("--table", "x"): "unknown table 'x'; Available: ",
        ("--dataset", "adult", "--output", tmp_path): f"--output {tmp_path} cannot be written",
    }
    for args, sentence in told.items():
        assert run(store, *args) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"trustbench: {sentence}"), said
        assert len(said.splitlines()) == 1
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(Store(empty)) == 2
    assert "there is no record to write a datasheet from" in capsys.readouterr().err
