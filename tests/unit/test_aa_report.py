"""Which metrics of two arms scripts/studies/aa.py compares, and what its lines are read as."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from tests.unit.summary.builder import CRESSWELL, record
from trustbench.store.records import Evaluation, MeasurementRecord, PluginSpec

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "studies"))
aa, script = map(importlib.import_module, ("aa", "aa_report"))


def evaluated(name, version, points, values, **twins):
    """{evaluation id: evaluation} of one metric `gap` and its twins."""
    measured = {
        k: MeasurementRecord(values=v, higher_is_better=False, unit="x", n=9, diagnostic=k != "gap")
        for k, v in {"gap": values, **twins}.items()
    }
    spec = PluginSpec(name=name, version=version, params={"points": points})
    made = Evaluation(evaluator=spec, status="ok", seconds=1.0, measurements=measured)
    return {f"{name}-{version}-{points}": made}


def line(seed, control, *evaluations):
    """One line of the file: the evaluations of one arm."""
    kept = {k: e for each in evaluations for k, e in each.items()}
    made = record(seed=seed, control=control).model_copy(update={"evaluations": kept})
    content = {"seed": seed, "seen": list(kept), "records": [made.model_dump(mode="json")]}
    return json.dumps(content)


def test_of_each_evaluator_the_newest_version_is_read(tmp_path):
    path = tmp_path / "lines.jsonl"
    lines = [
        line(0, "none", evaluated("margin", 2, 80, [1.0, 2.0]), evaluated("lime", 1, 9, [5.0])),
        line(0, "none", evaluated("margin", 1, 24, [8.0, 9.0])),
        line(1, "none", evaluated("margin", 1, 80, [7.0, 7.0])),
        line(1, "none", evaluated("lime", 1, 12, [6.0])),
    ]
    path.write_text("\n".join(lines))
    found = script.read(path)
    names = {s: {k for r in records for k in r.evaluations} for s, (_, records) in found.items()}
    # the newest version although an older one comes later; at one version the settings of the
    # last line; what only an older version measured is gone for that seed
    assert names == {0: {"margin-2-80"}, 1: {"lime-1-12"}}
    assert [len(records) for _, records in found.values()] == [1, 1], "merged by arm"
    assert found[0][0] == {"margin-2-80", "margin-1-24", "lime-1-9"}, "what ran is remembered"


def test_columns_compare_arms_and_permuted_gaps(tmp_path):
    path = tmp_path / "lines.jsonl"
    lines = [
        line(0, control, evaluated("group_robustness", 2, 80, [m, m + 1], gap_permuted=[0.5, 0.5]))
        for control, m in (("none", 1.0), ("reseed", 2.0))
    ]
    old = line(0, "none", evaluated("group_robustness", 1, 80, [50.0, 60.0]))
    path.write_text("\n".join([*lines, old]))
    found = {name: c.effects for (_, _, name), c in script.columns(script.read(path)).items()}
    assert found == {
        "group_robustness/gap": [pytest.approx(1.0)],
        "group_robustness/gap - gap_permuted": [pytest.approx(2.0)],
    }


def test_metrics_of_different_systems_are_not_compared():
    """`gap` was missing on the first system of one arm, and was read from another method."""
    arms = [
        record(control=c).model_copy(
            update={"evaluations": evaluated("margin", 2, 80, [1.0, 2.0], mean=[3.0, 4.0])}
        )
        for c in ("none", "reseed")
    ]
    key = "margin-2-80"
    same = {(key, "gap"): 0, (key, "mean"): 2}
    kept = aa.comparable((arms[0], same), (arms[1], {**same, (key, "gap"): 1}))
    assert [list(r["evaluations"][key]["measurements"]) for r in kept] == [["mean"], ["mean"]]
    alone = aa.comparable((arms[0], {(key, "mean"): 2}), (arms[1], {}))
    assert [list(r["evaluations"][key]["measurements"]) for r in alone] == [[], ["mean"]]


def test_tables_that_lack_a_column_are_not_counted(monkeypatch):
    """A wrong verdict in each of three seeds, of which one was measured for privacy alone."""

    def arms(seed, *shifted, **kw):
        shift = dict.fromkeys(shifted, 0.2)
        return [
            record(regime=regime, control=control, seed=seed, shift=change, **kw)
            for regime in ("tuned", "memorising")
            for control, change in (("none", None), ("reseed", shift))
        ]

    others = ("fairness", "robustness", "explainability", "uncertainty")
    lines = {
        0: (frozenset(), arms(0, "fairness/acc_gap")),
        1: (frozenset(), arms(1, "privacy/lira_auc")),
        2: (frozenset(), arms(2, "privacy/lira_auc", drop=others)),
        3: (frozenset(), arms(3)),
    }
    monkeypatch.setattr(script, "registered_table", lambda: CRESSWELL)
    assert script.false_verdicts(lines) == (2, 3, 5)
