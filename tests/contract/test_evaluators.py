"""What every evaluator keeps: it measures what it declares, and the same twice."""

import re

from tests.contract.conftest import OPTIONS, of
from trustbench.api.checks.check import check_plugin
from trustbench.api.checks.evaluators import COMPLETE
from trustbench.api.checks.findings import Finding
from trustbench.config.compose import conf_dir
from trustbench.config.declared_metrics import declared_metrics
from trustbench.contracts import PERMUTED
from trustbench.contracts.metrics import all_of, find

# What a sentence must not need: names of metrics, and of the words that only our code knows.
JARGON = re.compile(r"[a-z0-9]_[a-z0-9]|\bracc\b|\bece\b|\bR2\b")


@of("evaluator")
def test_an_evaluator_measures_what_it_declares_and_the_same_twice(option):
    found = list(check_plugin(option.plugin))
    assert [f.problem for f in found if f.problem] == []
    assert found[-1] == Finding(COMPLETE), "missing on a toy system, with no reason"


@of("evaluator")
def test_a_declaration_is_whole(option):
    metrics = option.plugin.metrics
    names = [m.name for m in all_of(metrics)]
    assert len(names) == len(set(names))
    for m in all_of(metrics):
        assert m.better in ("higher", "lower")
        assert m.unit
        if isinstance(m.null, str) and m.null != PERMUTED:
            known = m.null in names or find(metrics, m.null)
            assert known, f"{m.name}: its null {m.null} is not declared"


@of("evaluator")
def test_a_sentence_needs_no_name_of_a_metric(option):
    for m in option.plugin.metrics:
        assert 20 < len(m.sentence) <= 120, m.name
        assert m.sentence[0].isupper(), m.name
        assert m.sentence.endswith("."), m.name
        assert not JARGON.search(m.sentence), f"{m.name}: {m.sentence}"


def test_every_declaration_is_read_without_importing_its_evaluator():
    read = declared_metrics([conf_dir()])
    built = {o.name: o.plugin.metrics for o in OPTIONS if o.kind == "evaluator"}
    assert read == built, "write `metrics` with literals, Metric, fraction and PERMUTED"
