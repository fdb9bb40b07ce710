"""The page on one's own model, run as printed from an empty folder."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from trustbench.commands import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "own-model.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(\S+)`:\n\n```python\n(.*?)^```", PAGE, re.M | re.S))
BLOCKS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.M | re.S)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files of the page in a folder of their own."""
    for name, body in FILES.items():
        (tmp_path / name).write_text(body, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path, before = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.split("_")[0] in ("net", "prepare"):
            del sys.modules[name]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_page_does_what_it_says(folder, capfd):
    first, *commands = [shlex.split(block.replace("\\\n", " ")) for block in BLOCKS]
    subprocess.run([sys.executable, *first[1:]], check=True, cwd=folder)
    said = []
    for words in commands:
        assert words[0] == "trustbench"
        assert cli.main([*words[1:]]) == 0
        said.append(capfd.readouterr().out)
    run, audit, both = said
    assert "model_adapted=Net returns one logit z" in " ".join(run.split())
    assert "net.safetensors (torch Net) on new.csv" in audit
    assert "retrained" not in audit
    own = {m.group(1): m.group(2) for m in re.finditer(r"^ +(\w+) +(-?[\d.]+) ", audit, re.M)}
    assert float(own["accuracy"]) > 0.65
    beside = re.search(r"utility/accuracy +([\d.]+) +\[.*?\] +([\d.]+) ", both)
    assert float(beside.group(1)) == float(own["accuracy"]), "seen rows do not count"
    assert 0.4 < float(beside.group(2)) < 1
    assert "P privacy" in both
    assert "dpsgd" in both
