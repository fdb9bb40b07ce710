"""One number has one interval, wherever it is printed; a rounded zero has no sign."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from tests.unit.summary.builder import record
from trustbench import tracked
from trustbench.records import MeasurementRecord
from trustbench.summary.effects import paired_effect
from trustbench.summary.figures import figures
from trustbench.summary.render.single_arm import single_arm
from trustbench.summary.render.wording import level, number
from trustbench.summary.series import mean_of

ROOT = Path(__file__).parents[3]
METRIC = "privacy/lira_auc"


def with_shadows():
    """A record whose LiRA replicates are each other's shadow models."""
    made = record()
    rng = np.random.default_rng(0)
    values = 0.6 + 0.02 * rng.standard_normal(16)
    moved = 0.9 * (values - values.mean())
    [key] = [k for k, e in made.evaluations.items() if e.evaluator.name == "privacy"]
    evaluation = made.evaluations[key]
    lira = MeasurementRecord(
        values=values.tolist(), shadowing=moved.tolist(), higher_is_better=False, unit="AUC", n=9
    )
    changed = {**evaluation.measurements, "lira_auc": lira}
    new = evaluation.model_copy(update={"measurements": changed})
    return made.model_copy(update={"evaluations": {**made.evaluations, key: new}}), lira


def test_tracking_card_and_terminal_carry_the_interval_that_counts_dependence():
    made, lira = with_shadows()
    expected = mean_of([lira])
    assert expected.high - expected.low > 1.3 * np.ptp(
        [paired_effect(np.array(lira.values)).low, paired_effect(np.array(lira.values)).high]
    )
    points = {p.name: p.value for p in tracked.metrics(made)}
    ours = points[METRIC], points[f"{METRIC}.low"], points[f"{METRIC}.high"]
    assert ours == pytest.approx((expected.effect, expected.low, expected.high))
    [figure] = [f for f in figures(made) if f.metric == METRIC]
    assert figure.mean == expected
    console = Console(width=200)
    with console.capture() as captured:
        console.print(single_arm(made))
    assert f"[{level(expected.low)}, {level(expected.high)}]" in captured.get()


def test_independent_values_have_the_interval_of_scipy():
    values = [0.1, 0.4, 0.35, 0.8]
    m = MeasurementRecord(values=values, higher_is_better=True, unit="x", n=4)
    expected = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (mean_of([m]).low, mean_of([m]).high) == pytest.approx(expected)


def test_one_replicate_has_no_interval_on_a_server():
    names = {p.name for p in tracked.metrics(record(replicates=1))}
    assert any(n.startswith("utility/") for n in names)
    assert not any(n.endswith((".low", ".high")) for n in names)


def test_a_rounded_zero_has_no_sign():
    assert (number(-0.0001), level(-0.0001), level(-0.0)) == ("+0.000", "0.000", "0.000")


def number_formats():
    for folder in ("trustbench/summary", "trustbench/commands"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
                    spec = "".join(
                        str(v.value) if isinstance(v, ast.Constant) else "0"
                        for v in node.format_spec.values
                    )
                    if re.search(r"[fge%]$", spec):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", spec


def test_every_printed_number_drops_the_sign_of_a_rounded_zero():
    found = dict(number_formats())
    assert len(found) > 20
    assert {place: spec for place, spec in found.items() if "z" not in spec} == {}
