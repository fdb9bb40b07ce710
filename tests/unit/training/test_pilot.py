"""Which learning rate of a grid wins, and what of a pilot is kept in its file."""

import json

import pytest

from trustbench.errors import ConfigError
from trustbench.store.records import Tried
from trustbench.training.pilot import chosen, read_tried, write_tried

GOOD = Tried(rate=0.1, loss=0.25)
WORSE = Tried(rate=0.01, loss=1.5)
DIVERGED = Tried(rate=1.0, loss=None, diverged=1)


def test_the_lowest_loss_wins_and_of_equal_ones_the_smaller_rate():
    choice = chosen([DIVERGED, GOOD, WORSE], epochs=10)
    assert choice.rate == 0.1
    assert [t.rate for t in choice.tried] == [0.01, 0.1, 1.0]
    assert chosen([Tried(rate=0.3, loss=0.25), GOOD], epochs=10).rate == 0.1
    assert chosen([GOOD, Tried(rate=0.03, loss=0.25)], epochs=10).rate == 0.03


def test_a_rate_with_a_diverged_replicate_never_wins():
    lost = Tried(rate=0.001, loss=None, diverged=3)
    assert chosen([lost, WORSE], epochs=10).rate == 0.01
    with pytest.raises(ConfigError, match=r"at every rate of training.lr_grid \(0.001, 1\) repl"):
        chosen([DIVERGED, lost], epochs=10)


def test_the_choice_in_one_line():
    line = chosen([WORSE, GOOD, DIVERGED], epochs=10).line()
    assert line == (
        "0.1, chosen by a pilot (4 replicates, 10 epochs) for the lowest validation loss: "
        "0.01 1.5, 0.1 0.25, 1 diverged"
    )
    assert "it is the largest of the grid" in chosen([WORSE, GOOD], epochs=10).line()
    assert "it is the smallest of the grid" in chosen([GOOD, DIVERGED], epochs=10).line()
    assert "of the grid" not in chosen([GOOD], epochs=10).line()


def test_what_was_tried_is_read_as_it_was_written(tmp_path):
    assert read_tried(tmp_path, "p") == ()
    write_tried(tmp_path, "p", [GOOD, DIVERGED])
    assert read_tried(tmp_path, "p", warn=pytest.fail) == (GOOD, DIVERGED)


def cut(text):
    return text[: len(text) // 2]


def better(text):
    assert '"loss": 1.5' in text
    return text.replace('"loss": 1.5', '"loss": 0.1')


def infinite(text):
    return text.replace('"loss": 1.5', '"loss": NaN')


def other_id(text):
    return json.dumps({**json.loads(text), "id": "q"})


@pytest.mark.parametrize("damage", [cut, better, infinite, other_id, lambda text: "[]"])
def test_a_damaged_file_holds_nothing(damage, tmp_path):
    write_tried(tmp_path, "p", [GOOD, WORSE])
    path = tmp_path / "pilot.json"
    path.write_text(damage(path.read_text()))
    said = []
    assert read_tried(tmp_path, "p", said.append) == ()
    assert len(said) == 1
    assert "is damaged" in said[0]
    assert "the pilot is run again." in said[0]


def test_a_file_of_another_pilot_is_not_taken_for_ones_own(tmp_path):
    write_tried(tmp_path, "another", [GOOD])
    assert read_tried(tmp_path, "p", lambda text: None) == ()
