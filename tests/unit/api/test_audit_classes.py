"""Whichever class is favourable, a model's columns keep their meaning in an audit."""

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

import trustbench


@pytest.fixture(scope="module")
def table():
    """Rows whose class follows `x`, nearly always."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    risk = np.where(x + 0.2 * rng.normal(size=400) > 0, "low", "high")
    return pd.DataFrame({"x": x, "town": rng.choice(["a", "b"], 400), "risk": risk})


def boosted(module, table, path):
    """A file whose classes are codes, as encoders of labels count: 0 is high, 1 is low."""
    model = module(n_estimators=8, max_depth=2, n_jobs=1)
    model.fit(table[["x"]], (table["risk"] == "low").astype(int))
    getattr(model, "booster_", model).save_model(path)
    return str(path)


def answers(rows):
    """A function that knows the classes by their order alone."""
    low = 1 / (1 + np.exp(-9 * rows["x"].to_numpy()))
    return np.stack([1 - low, low], axis=1)


def test_several_favourable_classes_of_three_give_the_gaps_of_decisions(tmp_path):
    rng = np.random.default_rng(1)
    town = rng.choice(["north", "south"], 600)
    score = rng.normal(size=600) + 0.6 * (town == "north")
    grade = np.select([score > 0.8, score > 0], ["A", "B"], "C")
    rows = pd.DataFrame({"score": score, "town": town, "grade": grade})
    rows["said"] = np.where(rng.random(600) < 0.8, grade, "B")
    given = {"target": "grade", "sensitive": "town", "unseen": True, "draws": 100,
             "evaluators": ["fairness"]}  # fmt: skip
    without = trustbench.audit("column:said", rows, **given).record
    assert "favourable ones that are declared" in without.missing["fairness/dp_gap"]
    found = trustbench.audit("column:said", rows, favourable=["A", "B"], **given).record
    good = rows["said"].isin(["A", "B"]).groupby(rows["town"]).mean()
    assert found.metrics["fairness/dp_gap"].number.value == pytest.approx(
        good["north"] - good["south"]
    )
    assert found.table.favourable == ["A", "B"]
    assert found.id != without.id
    same = without.metrics["fairness/acc_gap"].number
    assert found.metrics["fairness/acc_gap"].number == same
    from trustbench.commands.cli import main

    rows.to_csv(tmp_path / "r.csv", index=False)
    args = [
        "audit", "--model", "column:said", "--data", str(tmp_path / "r.csv"), "--target", "grade",
        "--sensitive", "town", "--unseen", "--draws", "100", "--evaluator", "fairness",
        "--output-dir", str(tmp_path / "out"), "--favourable", "A", "--favourable", "B",
    ]  # fmt: skip
    assert main(args) == 0
    assert main([*args[:-2]]) == 0, "one class of three"
    assert main([*args, "--favourable", "D"]) == 2


MODELS = {
    "xgboost": lambda t, folder: boosted(xgboost.XGBClassifier, t, folder / "m.json"),
    "lightgbm": lambda t, folder: boosted(lightgbm.LGBMClassifier, t, folder / "m.txt"),
    "function": lambda t, folder: answers,
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_columns_of_a_model_do_not_follow_the_favourable_class(kind, table, tmp_path):
    model = MODELS[kind](table, tmp_path)
    found = [
        trustbench.audit(
            model, table, target="risk", sensitive="town", favourable=good, unseen=True,
            evaluators=["utility"], draws=100,
        ).metrics["value"]["utility/accuracy"]
        for good in ("low", "high")
    ]  # fmt: skip
    assert found[0] == found[1] > 0.85


def test_a_single_score_is_the_probability_of_the_favourable_class(table):
    low = answers(table)[:, 1]
    for good, score in (("low", low), ("high", 1 - low)):
        found = trustbench.audit(
            "column:score", table.assign(score=score), target="risk", sensitive="town",
            favourable=good, unseen=True, evaluators=["utility"], draws=100,
        )  # fmt: skip
        assert found.metrics["value"]["utility/accuracy"] > 0.85
