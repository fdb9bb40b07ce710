"""The page on audits runs: every block of it, in order, in an empty folder."""

import re
import shlex
from pathlib import Path

import pytest

from trustbench.commands.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
BLOCK = re.compile(r"^```(python|bash|yaml)\n(.*?)^```$", re.M | re.S)


@pytest.mark.slow
def test_every_block_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names, shown = {}, []
    for language, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "yaml" or body.startswith("# recipe.py"):
            first, _, rest = body.partition("\n")
            Path(first.removeprefix("# ")).write_text(rest, encoding="utf-8")
        elif language == "python":
            exec(compile(body, str(PAGE), "exec"), names)
        else:
            _, *words = shlex.split(body.replace("\\\n", " "))
            assert main([*words, "--draws", "100"]) == 0
            shown.append(capsys.readouterr().out)
    one, found, attacked, limited, compared, vendor = shown
    assert "800 of 2,000 rows are measured, 400 calibrate, 800 were seen in training" in one
    assert "by content" not in one
    assert "copies of training rows (train file)" in found
    assert "membership is attacked beside 8 models of recipe.py:fit" in attacked
    assert "rmia_auc" in attacked
    assert "policy limits 1: pass" in limited
    assert "1 limits on change and 0 rules on verdicts are not decided" in limited
    assert "against old.skops, row by row" in compared
    assert "new - old" in vendor
    assert 0.6 < names["result"].metrics["value"]["utility/accuracy"] < 0.9
