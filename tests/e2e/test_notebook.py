"""The notebook succeeds: its cells run in order in one process, on the table of the tutorial."""

import json
from pathlib import Path

import pytest

from tests.unit.test_docs import ROOT, blocks

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def sources(kind):
    return ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == kind]


def test_the_notebook_is_kept_without_outputs():
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert len(code) >= 7
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)


@pytest.mark.slow
def test_every_cell_of_the_notebook_works(tutorial_folder):
    (invented,) = [b for b in blocks("docs/tutorial.md", "python") if "default_rng" in b]
    exec(compile(invented, "docs/tutorial.md", "exec"), {})
    names = {}
    for k, body in enumerate(sources("code")):
        exec(compile(body, f"cell {k} of {NOTEBOOK.name}", "exec"), names)
    assert [record.status for record in names["records"]] == ["ok"] * 3
    assert len(names["frame"]) == sum(
        len(m.values)
        for record in names["records"]
        for evaluation in record.evaluations.values()
        for m in evaluation.measurements.values()
    )
    pairs = set(zip(names["measured"]["source"], names["measured"]["target"], strict=True))
    assert ("fairness", "fairness") in pairs
    assert names["decided"].exit_code in (0, 3, 4)
    assert len(names["decided"].decisions) >= 2
    assert Path("report.html").stat().st_size > 10_000
    assert names["result"].metrics["value"]["utility/accuracy"] > 0.6
