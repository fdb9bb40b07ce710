"""`trustbench audit`: flags that cannot be read are refused before anything is opened."""

import pytest

from trustbench.commands.cli import main


@pytest.mark.parametrize("option", ["timeout_s", "args={a"])
def test_an_option_that_cannot_be_read_is_refused_in_one_sentence(option, capsys):
    flags = ["--model", "m.skops", "--data", "rows.csv", "--option", option]
    assert main(["audit", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--option {option}" in line and "give one such as timeout_s=10" in line
