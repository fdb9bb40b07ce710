"""`trustbench.audit`: the numbers of other packages, honest gaps, seen rows, and the gate."""

import json

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fairlearn
from mapie.classification import SplitConformalClassifier
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, roc_auc_score
from sklearn.svm import LinearSVC
from skops import io

import trustbench
from tests.unit.api.audited import FEW, fitted, made_table
from trustbench.commands.cli import main
from trustbench.errors import UserError
from trustbench.store.audits import read_audit

NAMES = [
    "checking", "duration", "history", "purpose", "amount", "savings", "employment", "rate",
    "status", "debtors", "residence", "property", "age", "plans", "housing", "credits", "job",
    "dependents", "telephone", "foreign", "risk",
]  # fmt: skip


@pytest.fixture(scope="module")
def table():
    return made_table()


@pytest.fixture(scope="module")
def model(table):
    return fitted(table)


@pytest.fixture(scope="module")
def result(model, table):
    return trustbench.audit(
        model, table, target="repaid", sensitive="town", split_column="part", draws=200
    )


def german(folder):
    table = pd.read_csv(folder / "german" / "german.data", sep=r"\s+", header=None, names=NAMES)
    table["risk"] = table["risk"].map({1: "good", 2: "bad"})
    table["young"] = np.where(table["age"] <= 25, "young", "older")
    parts = np.repeat(["train", "calibration", "test"], [400, 200, 400])
    table["part"] = np.random.default_rng(1).permutation(parts)
    return table


def german_model(table):
    inputs = [n for n in NAMES if n != "risk"]
    numbers = list(table[inputs].select_dtypes("number"))
    return fitted(
        table, target="risk", numbers=numbers, words=[n for n in inputs if n not in numbers]
    )


@pytest.fixture(params=["toy", "german"])
def case(request, table, model, shared_data):
    """(table, model, target, group, favourable) on a toy and on German credit."""
    if request.param == "toy":
        return table, model, "repaid", "town", "yes"
    real = german(shared_data)
    return real, german_model(real), "risk", "young", "good"


def test_numbers_equal_those_of_other_packages(case):
    table, model, target, group, good = case
    found = trustbench.audit(
        model, table, target=target, sensitive=group, split_column="part",
        evaluators=["utility", "fairness", "uncertainty"], draws=100,
    ).metrics["value"]  # fmt: skip
    test = table[table["part"] == "test"]
    y, decided = test[target] == good, model.predict(test) == good
    p = model.predict_proba(test)[:, list(model.classes_).index(good)]
    shares = {"y_true": y, "y_pred": decided, "sensitive_features": test[group]}
    by_group = fairlearn.MetricFrame(metrics=accuracy_score, **shares)
    wanted = {
        "utility/accuracy": accuracy_score(y, decided),
        "utility/balanced_accuracy": balanced_accuracy_score(y, decided),
        "utility/auc": roc_auc_score(y, p),
        "fairness/acc_gap": by_group.difference(),
        "fairness/worst_group_acc": by_group.group_min(),
        "fairness/dp_gap": fairlearn.demographic_parity_difference(**shares),
        "fairness/dp_ratio": fairlearn.demographic_parity_ratio(**shares),
        "fairness/eo_gap": fairlearn.equalized_odds_difference(**shares),
        "uncertainty/nll": log_loss(y, p),
        "uncertainty/brier": 2 * np.mean((p - y) ** 2),
    }
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def test_calibration_error_is_that_of_equal_bins(model, table):
    found = trustbench.audit(
        model, table, target="repaid", split_column="part", evaluators=["uncertainty"], draws=100
    ).metrics["value"]["uncertainty/ece"]
    test = table[table["part"] == "test"].iloc[:495]  # 15 bins of 33 rows hold any order of ties
    p = model.predict_proba(test)
    hit = model.predict(test) == test["repaid"]
    right, stated = calibration_curve(hit, p.max(axis=1), n_bins=15, strategy="quantile")
    assert found == pytest.approx(np.abs(right - stated).mean(), abs=0.012)


def test_conformal_sets_equal_those_of_mapie(case):
    table, model, target, group, _ = case
    found = trustbench.audit(
        model, table, target=target, sensitive=group, split_column="part",
        evaluators=["uncertainty"], draws=100,
    ).metrics["value"]  # fmt: skip
    inputs = list(model.feature_names_in_)
    held, test = (table[table["part"] == part] for part in ("calibration", "test"))
    other = SplitConformalClassifier(
        model, confidence_level=0.9, conformity_score="lac", prefit=True
    ).conformalize(held[inputs], held[target])
    sets = other.predict_set(test[inputs])[1][:, :, 0]
    true = np.searchsorted(model.classes_, test[target])
    assert found["uncertainty/lac_coverage"] == sets[np.arange(len(test)), true].mean()
    assert found["uncertainty/lac_size"] == sets.sum(axis=1).mean()
    assert found["uncertainty/lac_singleton_rate"] == (sets.sum(axis=1) == 1).mean()


def test_every_number_has_an_interval_over_rows(result):
    record = result.record
    assert record.unit == "rows"
    assert record.rows.measured == 500
    for name, metric in record.metrics.items():
        number = metric.number
        assert number.low <= number.low90 <= number.value + 1e-12, name
        assert number.value <= number.high90 + 1e-12 <= number.high + 2e-12, name
        share = name == "utility/accuracy" or name.endswith(("_coverage", "_rate"))
        own = name.startswith(("utility/", "uncertainty/"))
        assert not own or (number.method == "exact") == share, name
    assert {"utility/accuracy", "fairness/eo_gap", "uncertainty/ece"} <= set(record.metrics)


def test_no_number_looks_like_safety(result):
    record = result.record
    stored = [n for n in record.metrics if not n.startswith("query_attacks/")]
    attacks = [n for n in stored if "lira" in n or "strongest" in n or "racc" in n]
    assert attacks == []
    assert "needs replicates" in record.missing["privacy/lira_auc"]
    assert "gradients" in record.missing["robustness/racc"]
    # members are known from the split: the loss attack is measured
    assert record.rows.members == 500
    assert 0.4 < record.metrics["privacy/loss_auc"].number.value < 0.65


def test_without_members_no_attack_is_a_number(model, table):
    test = table[table["part"] == "test"].drop(columns="part")
    found = trustbench.audit(
        model, test, target="repaid", unseen=True, evaluators=FEW, draws=100
    ).record
    assert not [n for n in found.metrics if n.startswith("privacy/")]
    assert found.missing["privacy/loss_auc"] == "needs members"
    assert "needs members" in found.missing["utility/train_test_gap"]


def test_without_probabilities_only_decisions_are_measured(table):
    seen = table[table["part"] == "train"]
    svm = LinearSVC().fit(seen[["income", "age"]], seen["repaid"])
    found = trustbench.audit(
        svm, table, target="repaid", sensitive="town", split_column="part",
        evaluators=FEW, draws=100,
    ).record  # fmt: skip
    test = table[table["part"] == "test"]
    right = accuracy_score(test["repaid"], svm.predict(test[["income", "age"]]))
    assert found.metrics["utility/accuracy"].number.value == pytest.approx(right)
    assert found.missing["utility/auc"] == "needs logits"
    assert found.missing["uncertainty/ece"] == "needs logits"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"target": "repayd"}, "did you mean 'repaid'"),
        ({"sensitive": "twon"}, "did you mean 'town'"),
        ({"sensitive": "age"}, r"groups: `columns: {age: {bins: \[[-\d.]+\]}}` in --schema"),
        ({"target": "income"}, r"`columns: {income: {bins: \[[-\d.]+\]}}` in --schema gives two"),
        ({"favourable": "yse"}, "^dataset table: --favourable yse is not a class of repaid"),
        ({"favourable": "maybe"}, "is not a class of repaid"),
        ({"target": "income"}, "trustbench predicts classes, not quantities"),
        ({"split_column": "town"}, "its words are train, test"),
        ({"split_column": "part", "unseen": True}, "give only one of them"),
        ({"evaluators": ["utilty"]}, "did you mean 'utility'"),
        ({"calibration": 1.5}, "give a share"),
        ({"draws": 3}, "give at least 100"),
    ],
)
def test_wrong_input_is_one_sentence(model, table, given, said):
    keys = {"target": "repaid", "evaluators": ["utility"], "draws": 100, **given}
    with pytest.raises(UserError, match=said) as error:
        trustbench.audit(model, table, **keys)
    assert "\n" not in str(error.value)


def test_a_target_without_values_is_refused(model, table):
    holes = table.assign(repaid=table["repaid"].where(table.index > 3))
    with pytest.raises(UserError, match="no value in 4 of 1,200 rows"):
        trustbench.audit(model, holes, target="repaid", draws=100)


def test_the_favourable_class_decides_what_is_positive(model, table):
    given = {"target": "repaid", "sensitive": "town", "split_column": "part", "draws": 100}
    both = [
        trustbench.audit(model, table, **given, favourable=good, evaluators=["fairness"])
        for good in ("yes", "no")
    ]
    ratios = [b.metrics["value"]["fairness/dp_ratio"] for b in both]
    test = table[table["part"] == "test"]
    for ratio, good in zip(ratios, ("yes", "no"), strict=True):
        wanted = fairlearn.demographic_parity_ratio(
            test["repaid"] == good, model.predict(test) == good, sensitive_features=test["town"]
        )
        assert ratio == pytest.approx(wanted)


def test_the_command_audits_a_file(tmp_path, model, table, capsys):
    io.dump(model, tmp_path / "model.skops")
    table.to_csv(tmp_path / "bank.csv", index=False)
    args = [
        "audit", "--model", str(tmp_path / "model.skops"), "--data", str(tmp_path / "bank.csv"),
        "--target", "repaid", "--sensitive", "town", "--split-column", "part", "--draws", "100",
        "--evaluator", "utility,fairness", "--policy", "research",
        "--output-dir", str(tmp_path / "out"),
    ]  # fmt: skip
    assert main(args) == 0
    shown = capsys.readouterr().out
    assert "500 of 1,200 rows are measured, 200 calibrate, 500 were seen in training" in shown
    assert "No favourable class is declared, so yes, the last of no and yes, is taken" in shown
    assert "policy research" in shown
    (path,) = (tmp_path / "out" / "audits").glob("*/audit.json")
    record = read_audit(path)
    assert record.id in shown
    assert record.model["kind"] == "scikit-learn LogisticRegression"
    assert main([*args, "--format", "json", "--output", str(tmp_path / "a.json")]) == 0
    assert json.loads((tmp_path / "a.json").read_text()) == json.loads(path.read_text())
    assert main([*args, "--format", "junit", "--output", str(tmp_path / "a.xml")]) == 0
    assert "<testsuites" in (tmp_path / "a.xml").read_text()


def test_predictions_of_a_vendor_are_enough(table, model):
    scored = table.assign(score=model.predict_proba(table)[:, 1])
    given = {"target": "repaid", "sensitive": "town", "split_column": "part", "draws": 100}
    by_column = trustbench.audit("column:score", scored, **given, evaluators=FEW).metrics
    by_model = trustbench.audit(model, table, **given, evaluators=FEW).metrics
    assert by_column["value"].to_dict() == pytest.approx(by_model["value"].to_dict())
