"""The page of metrics is what its script writes, and no family that is measured is left out."""

import importlib
import sys
from pathlib import Path

from trustbench.config.compose import conf_dirs
from trustbench.config.declared_metrics import declared_metrics

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "pages"))
families = importlib.import_module("metric_families")


def test_the_page_is_what_the_script_writes():
    assert families.PAGE.read_text() == families.page(), "run scripts/pages/metric_families.py"


def test_every_family_with_metrics_has_its_sentence_and_every_metric_its_row():
    declared = {name: found for name, found in declared_metrics(conf_dirs(None)).items() if found}
    assert set(families.families()) == set(declared)
    rows = [line for line in families.page().splitlines() if "<code>" in line]
    read = [m for metrics in declared.values() for m in metrics if not m.diagnostic]
    assert len(rows) == len(read)
    assert all(any(m.sentence in row for row in rows) for m in read)
