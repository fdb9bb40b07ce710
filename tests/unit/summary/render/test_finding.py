"""The sentences above a table say what its cells say, with the same numbers."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.summary.builder import CRESSWELL, method, record
from trustbench.summary.render import wording as w
from trustbench.summary.render.finding import findings
from trustbench.summary.stats.effects import Kind, paired_effect
from trustbench.summary.stats.verdicts import judge
from trustbench.summary.table.results import UTILITY
from trustbench.summary.table.table import summarize

VERBS = {
    Kind.HARM: "harms",
    Kind.BENEFIT: "benefits",
    Kind.NO_MATERIAL: "has no material effect on",
    Kind.INCONCLUSIVE: "has an unclear effect on",
}
BEYOND = r"At equal accuracy: (.*)\."


def parts(line):
    """Verb -> the text behind it, of the first two sentences."""
    head = re.sub(BEYOND, "", line)
    found = re.split(f"({'|'.join(VERBS.values())}) ", head)
    return dict(zip(found[1::2], found[2::2], strict=True))


def measured(result):
    cells = [*result.cells, *result.utility]
    return [c for c in cells if c.source and c.estimate.effect is not None]


def test_every_measured_cell_stands_behind_the_verb_of_its_verdict(results):
    (result,) = results
    lines = {line.split(" (")[0]: parts(line) for line in findings(result)[1:]}
    assert {verb for said in lines.values() for verb in said} == set(VERBS.values())
    for cell in measured(result):
        said = lines[cell.estimate.arm][VERBS[cell.verdict.kind]]
        assert cell.target in said
        if cell.verdict.kind in (Kind.HARM, Kind.BENEFIT):
            e = cell.estimate
            effect = f"{w.number(e.effect.effect)} {w.interval(e.effect)}"
            means = f"{w.level(e.reference_mean)} → {w.level(e.treated_mean)}"
            assert f"{cell.target} ({w.bare(e.metric)} {means}, {effect})" in said


def test_the_count_is_that_of_the_effects_on_another_aspect(results):
    (result,) = results
    others = [c for c in measured(result) if c.target not in (c.source, UTILITY)]
    harms = sum(c.verdict.kind is Kind.HARM for c in others)
    assert findings(result)[0].startswith(f"Of {len(others)} measured effects on another aspect: ")
    assert f" {harms} harm" in findings(result)[0]


def test_harm_at_equal_accuracy_is_judged_by_its_own_interval(results):
    (result,) = results
    (line,) = [line for line in findings(result) if line.startswith("dpsgd")]
    (said,) = re.findall(BEYOND, line)
    harmed = [c for c in measured(result) if c.verdict.kind is Kind.HARM]
    judged = [c for c in harmed if c.estimate.arm == "dpsgd epsilon=3" and c.beyond_matched]
    assert len(judged) > 2
    for cell in judged:
        beyond = cell.beyond_matched
        assert f"{cell.target} ({w.number(beyond.effect)} {w.interval(beyond)})" in said
        assert beyond.low > cell.measure.delta
    assert said.startswith("still harms fairness (")


@pytest.mark.parametrize("arms", [[], [record(method("dpsgd", epsilon=3), status="failed")]])
def test_nothing_measured_says_nothing(arms):
    tables = summarize([record(), *arms], CRESSWELL)
    assert [findings(result) for result in tables] == [[]] * len(tables)


def test_effects_that_cannot_be_judged_are_said_too(results):
    constant = judge(paired_effect(np.array([0.01] * 4)), 0.05, 0.0)
    assert constant.kind is Kind.NOT_APPLICABLE

    def judged(cell):
        return replace(cell, estimate=replace(cell.estimate, arm="m", verdict=constant))

    (made,) = results
    cells = tuple(map(judged, made.cells))
    (said,) = findings(replace(made, cells=cells, utility=tuple(map(judged, made.utility))))
    assert f"has an effect on privacy that is {constant.text}" in said
