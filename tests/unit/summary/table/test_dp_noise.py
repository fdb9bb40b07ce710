"""Every rendering with room for a footer says where privacy noise came from."""

import pytest

from tests.unit.summary.builder import CRESSWELL, method, record
from trustbench.summary.render import json_, latex, markdown, terminal
from trustbench.summary.table.dp_noise import noise_notes
from trustbench.summary.table.table import summarize


def results(source):
    facts = {"dp_noise": source} if source else {}
    private = record(method("dpsgd", epsilon=3.0), facts=facts)
    return summarize([record(), private], CRESSWELL)


def shown(found, capsys):
    terminal.show_tables(found, terminal.Console(width=120))
    said = " ".join(capsys.readouterr().out.split())
    return {
        "markdown": markdown.text(found),
        "latex": latex.text(found),
        "json": json_.text(found),
        "terminal": said,
    }


@pytest.mark.parametrize(
    ("source", "wanted"),
    [("seeded", "research only"), ("system", "cannot be drawn again")],
)
def test_every_footer_says_which_noise_ran(source, wanted, capsys):
    for name, text in shown(results(source), capsys).items():
        assert "The privacy noise of dpsgd epsilon=3 was drawn" in text, name
        assert wanted in text, name


def test_nothing_is_said_where_no_method_adds_noise(capsys):
    for name, text in shown(results(None), capsys).items():
        assert "privacy noise" not in text, name


def test_seeded_and_system_arms_are_told_apart():
    said = list(noise_notes([("a", "seeded"), ("b", "system"), ("a", "seeded"), ("c", None)]))
    assert [s.split(" was ")[0] for s in said] == [
        "The privacy noise of a",
        "The privacy noise of b",
    ]
