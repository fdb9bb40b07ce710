"""Several audits side by side: a column for each model, and what keeps them from comparison."""

import numpy as np
import pandas as pd
import pytest

import trustbench
from tests.unit.summary.report.report_data import parse
from trustbench.commands.cli import main
from trustbench.summary.report import audits_document

KEYS = {"target": "y", "sensitive": "g", "unseen": True, "draws": 100}
FEW = ["utility", "fairness"]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    p = rng.random(400)
    truth = np.where(rng.random(400) < p, "yes", "no")
    said = np.where(p > 0.7, "yes", "no")
    return pd.DataFrame({"y": truth, "g": rng.choice(["a", "b"], 400), "p": p, "said": said})


@pytest.fixture(scope="module")
def audits(rows, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    of = [
        trustbench.audit(f"column:{c}", rows, evaluators=FEW, output_dir=out, **KEYS).record
        for c in ("p", "said")
    ]
    return out, of


def test_the_command_puts_both_models_into_one_page(audits, tmp_path, capsys):
    out, (scores, labels) = audits
    page = tmp_path / "both.html"
    words = ["report", "--from", str(out), "--audit", scores.id, "--audit", labels.id]
    assert main([*words, "--output", str(page)]) == 0, capsys.readouterr().err
    shown = parse(page.read_text()).text()
    for record in (scores, labels):
        number = record.metrics["utility/accuracy"].number
        assert f"{number.value:.3f} fraction" in shown
        assert f"[{number.low:.3f}, {number.high:.3f}]" in shown
        assert f"audit {record.id}" in shown
    assert "none: " in shown and "utility/auc" in shown, "labels have no AUC, and the page says why"
    assert "DIFFERENT" not in shown
    assert main([*words, "--policy", "research"]) == 2
    assert "--policy decides on one audit" in capsys.readouterr().err
    assert main([*words, "--table", "cresswell"]) == 2
    assert "--audit reads an audit and --table reads arms" in capsys.readouterr().err


def test_what_keeps_columns_from_comparison_comes_first(audits, rows):
    _, (scores, _) = audits
    other = trustbench.audit("column:p", rows.head(300), evaluators=FEW, **KEYS).record
    text = parse(audits_document([scores, other])).text()
    assert "THE AUDITS READ 2 DIFFERENT TABLES" in text
    assert f"column:p ({scores.id})" in text and f"column:p ({other.id})" in text
    turned = trustbench.audit("column:p", rows, evaluators=FEW, favourable="no", **KEYS).record
    said = parse(audits_document([scores, turned])).text()
    assert "TAKE DIFFERENT CLASSES AS FAVOURABLE" in said
