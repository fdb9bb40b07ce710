"""What a datasheet says was measured: baselines, groups, and where every record is."""

import numpy as np

from tests.unit.summary.builder import R, method
from tests.unit.summary.cards.datasheets import DP, made, page, records, rows
from tests.unit.summary.cards.test_card import section
from trustbench.store.records import Evaluation, PluginSpec
from trustbench.summary.cards.markdown_parts import interval
from trustbench.summary.stats.series import mean_of


def test_the_baselines_primary_metrics_are_those_of_the_records():
    found = records()
    text = section(page(found), "What was measured on it")
    table = {(r[1], r[2], r[4]): r for r in rows(text, "model")}
    assert len(table) == 6  # two targets of three baselines
    for each, key in ((found[1], ("tuned", "0")), (found[4], ("memorising", "0"))):
        for metric in ("fairness/acc_gap", "utility/accuracy"):
            evaluator, name = metric.split("/")
            m = each.evaluations[f"{evaluator}-s1"].measurements[name]
            row = table[(*key, metric.replace("_", r"\_"))]
            assert row[5:] == [
                f"{interval(mean_of([m]))} fraction",
                "higher" if m.higher_is_better else "lower",
                str(m.n),
                f"`{each.id}`, {evaluator}-s1",
            ]


def test_two_classes_have_the_binary_metric():
    text = section(page([made(classes=("no", "yes"))]), "What was measured on it")
    assert [r[4] for r in rows(text, "model")] == [r"fairness/eo\_gap", "utility/accuracy"]


def test_settings_of_an_evaluator_each_have_their_row():
    one, two = made(), made(settings="s2", shift={"utility/accuracy": -0.5})
    both = one.model_copy(update={"evaluations": {**one.evaluations, **two.evaluations}})
    table = rows(section(page([both]), "What was measured on it"), "model")
    assert [r[8].split(", ")[1] for r in table] == [
        f"{e}-{s}" for e in ("fairness", "utility") for s in ("s1", "s2")
    ]


def test_what_a_baseline_lacks_is_told_with_its_reason():
    lone = made(drop=("fairness",))
    failed = Evaluation(evaluator=PluginSpec(name="fairness"), status="failed", reason="no rows")
    more = {"evaluations": {**lone.evaluations, "fairness-s1": failed}}
    for each, why in ((lone, "not measured"), (lone.model_copy(update=more), "no rows")):
        (row, _) = rows(section(page([each]), "What was measured on it"), "model")
        assert why in row[5]
        assert row[8] == f"`{each.id}`"


def test_performance_by_group_is_read_from_the_baselines_arrays_only():
    found, asked = records(), []
    accuracy = np.linspace(0.8, 0.9, R)[:, None] * np.ones(10)
    accuracy[:, 3] = np.nan  # a group with too few rows

    def load(ident):
        asked.append(ident)
        return {
            "fairness-s1/group_accuracy": accuracy,
            "privacy-s1/lira_auc_group_2": np.full(R, 0.61),  # of no column that is shown here
        }

    text = section(page(found, load), "What was measured on it").split("By group:")[1]
    assert asked == [found[i].id for i in (1, 4, 5)]
    table = rows(text, "model")
    assert len(table) == 30
    assert {r[5] for r in table} == {"fairness/accuracy"}
    assert table[2][3:] == [
        "2", "50", "fairness/accuracy",
        table[0][6], f"`{found[1].id}`, fairness-s1",
    ]  # fmt: skip
    assert table[2][6].startswith("0.85 [")
    assert table[3][6] == "not measured (too few rows)"
    assert "No metric by group is stored" in page(found)


def test_every_record_can_be_found_with_its_method_and_status():
    found = [*records(), made(method("dpsgd", epsilon=8.0))]
    text = section(page(found), "What was measured on it")
    table = rows(text, "method")
    assert {r[6] for r in table} == {f"`{r.id}`" for r in found}
    assert ["dpsgd epsilon=3", "none", "mlp", "tuned", "1", "failed"] in [r[:6] for r in table]
    assert table[-1][:2] == ["none", "reseed"]  # controls last
    assert r"dpsgd epsilon=8" in {r[0] for r in table}


def test_without_a_baseline_that_is_said():
    text = section(page([made(DP)]), "What was measured on it")
    assert "No baseline (no method, no control) was measured." in text
    assert "dpsgd epsilon=3" in text
