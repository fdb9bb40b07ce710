"""The page on one's own table, carried out from an empty folder, line by line."""

import shlex

import pytest

from tests.unit.test_docs import blocks, commands
from trustbench.commands import cli
from trustbench.config.compose import run_request

PAGE = "docs/own-data.md"


@pytest.mark.slow
def test_every_command_of_the_page_on_own_data_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make, run = blocks(PAGE, "python")
    namespace = {}
    exec(compile(make, PAGE, "exec"), namespace)
    printed = []
    for words in commands(PAGE):
        if any(word.startswith("+experiment") for word in words):
            assert len(run_request(words[1:]).arms) > 20
            continue
        assert cli.main(words) == 0, shlex.join(words)
        printed.append(capsys.readouterr().out)
    assert "next: name the class to predict" in printed[0]
    assert "warning: days_late > 0 agrees with approved" in printed[1]
    assert "days_late > 0" not in printed[2]
    assert "fairness/dp_gap" in printed[3]
    assert "only up" in printed[4]
    exec(compile(run, PAGE, "exec"), namespace)
    assert [record.status for record in namespace["records"]] == ["ok"]
