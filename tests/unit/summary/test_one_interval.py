"""One number has one interval, wherever it is printed; a rounded zero has no sign."""

import ast
import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from tests.unit.summary.builder import CRESSWELL, DIGITS, R, record
from tests.unit.summary.decide.gating import DP, only_decision, pair, policy
from tests.unit.summary.report.report_data import arrays, page, parse
from tests.unit.summary.table_data import with_measurements
from trustbench.contracts.aspects import Aspect
from trustbench.store.records import MeasurementRecord
from trustbench.summary.cards.card import card
from trustbench.summary.cards.figures import by_group, figures
from trustbench.summary.decide.unreliable import of_record
from trustbench.summary.render import render
from trustbench.summary.render.cell import cell_text
from trustbench.summary.render.single_arm import single_arm
from trustbench.summary.render.wording import interval, level, number
from trustbench.summary.report.evidence import benches
from trustbench.summary.stats.effects import paired_effect
from trustbench.summary.stats.series import Series, mean_of
from trustbench.summary.table.contrasts import overlap_of
from trustbench.summary.table.table import summarize
from trustbench.tracking import run_content as tracked

ROOT = Path(__file__).parents[3]
METRIC, LOOSE = "privacy/lira_auc", "memorising"


def with_shadows(*methods, seed=0, **kw):
    """A record whose LiRA replicates are each other's shadow models, and its LiRA."""
    made = record(*methods, **kw)
    rng = np.random.default_rng(seed)
    values = 0.6 + 0.02 * rng.standard_normal(16)
    moved = 0.9 * (values - values.mean())
    lira = MeasurementRecord(
        values=values.tolist(), shadowing=moved.tolist(), higher_is_better=False, unit="AUC", n=9
    )
    return with_measurements(made, "privacy", lira_auc=lira), lira


def test_tracking_card_terminal_gate_and_report_carry_the_interval_that_counts_dependence():
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
    asked = policy({"metric": METRIC, "at_most": 0.9, "regime": "tuned"})
    assert only_decision(pair(asked, made, made)).estimate.effect == expected
    assert bench_of([made]).mean(of_record(made), METRIC) == expected


def bench_of(records, load=arrays):
    (result,) = summarize(records, CRESSWELL)
    (bench,) = benches([result], records, None, load)
    return bench


def test_a_group_has_the_same_interval_on_the_card_and_in_the_report():
    whole = MeasurementRecord(
        values=np.linspace(0.8, 0.9, R).tolist(),
        pseudo=np.linspace(0.7, 1.0, R).tolist(),
        higher_is_better=True, unit="fraction", n=9,
    )  # fmt: skip
    made = with_measurements(record(), "fairness", accuracy=whole)
    stored = arrays(made.id)
    (column,) = [c for c in by_group(made, stored) if c.metric == "fairness/accuracy"]
    found = bench_of([made]).intervals(of_record(made), "fairness", "group_accuracy")
    expected = [(e.effect, e.low, e.high) for e in column.by_group.values()]
    np.testing.assert_array_equal(np.array(found).T, expected)
    plain = paired_effect(stored["fairness-s1/group_accuracy"][:, 0])
    assert column.by_group[DIGITS[0]].sd == pytest.approx(3 * plain.sd)


def test_one_replicate_has_no_interval_in_the_report():
    records = [record(replicates=1), record(DP, replicates=1)]
    text = parse(page(records, load=partial(arrays, replicates=1))[0]).text()
    assert "no arm has fairness/group_accuracy of two or more replicates" in text
    assert bench_of(records).mean(of_record(records[0]), METRIC) is None


def test_panels_of_several_splits_of_one_file_count_the_rows_that_they_share():
    records = [record(seed=k) for k in range(3)]
    bench = bench_of(records)
    arm = bench.group.baseline("tuned")
    found = bench.mean(arm, "robustness/racc")
    values = [r.evaluations["robustness-s1"].measurements["racc"] for r in records]
    assert found == mean_of(values, overlap_of(arm))
    assert found.pools == 3
    assert found.high - found.low > (mean_of(values).high - mean_of(values).low) * 1.5
    mean, low, high = bench.intervals(arm, "fairness", "group_accuracy")
    assert (low < mean).all()
    assert len(high) == len(DIGITS)


def test_a_difference_has_one_interval_in_table_gate_card_report_and_json():
    (base, a), (dp, b) = with_shadows(regime=LOOSE), with_shadows(DP, seed=1, regime=LOOSE)
    expected = (Series.of([b]) - Series.of([a])).effect()
    assert expected.sd > paired_effect(np.array(b.values) - np.array(a.values)).sd
    records = [base, dp]
    (result,) = summarize(records, CRESSWELL)
    estimate = result.cell(Aspect.PRIVACY, "privacy").estimate
    assert estimate.effect == expected
    asked = policy({"metric": "privacy", "worse_by_at_most": 0.0})
    assert only_decision(pair(asked, dp, base)).estimate.effect == expected
    assert dict(card(dp, {}, records, CRESSWELL).effects)["privacy"].effect == expected
    cells = json.loads(render([result], "json"))["cells"]
    (cell,) = [c for c in cells if (c["source"], c["target"]) == ("privacy", "privacy")]
    assert (cell["low"], cell["high"]) == (expected.low, expected.high)
    printed = f"{number(expected.effect)} {interval(expected)} n={R}"
    assert printed in cell_text(CRESSWELL, Aspect.PRIVACY, Aspect.PRIVACY, [result])
    assert printed in " ".join(parse(page(records)[0]).text().split())


def callers(name):
    for path in (ROOT / "trustbench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == name:
                yield str(path.relative_to(ROOT))


def test_intervals_are_made_in_one_place():
    assert set(callers("paired_effect")) == {
        "trustbench/summary/stats/effects.py",
        "trustbench/summary/stats/series.py",
    }


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
    for folder in ("trustbench/summary", "trustbench/api", "trustbench/commands"):
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
