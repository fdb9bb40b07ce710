"""Models of XGBoost and LightGBM from their own files answer as the estimators that wrote them."""

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from trustbench.contracts.given import ModelSource
from trustbench.errors import UserError
from trustbench.models.given.opening import open_model


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "age": rng.normal(40, 10, 400),
            "job": rng.choice(["clerk", "nurse", "smith"], 400),
            "children": rng.integers(0, 5, 400),
        }
    )
    y = ((rows.age > 40) ^ (rows.job == "nurse")).astype(int)
    return rows, y.to_numpy()


def coded(rows):
    return rows.assign(job=rows.job.astype("category"))


SIZES = {"n_estimators": 8, "max_depth": 3, "random_state": 0, "n_jobs": 1}


def saved_xgboost(rows, y, path, **options):
    model = xgboost.XGBClassifier(enable_categorical=True, **SIZES, **options).fit(rows, y)
    model.save_model(path)
    return model


def saved_lightgbm(rows, y, path, **options):
    model = lightgbm.LGBMClassifier(min_child_samples=5, verbose=-1, **SIZES, **options)
    model.fit(rows, y).booster_.save_model(path)
    return model


MAKERS = [(saved_xgboost, "m.json"), (saved_xgboost, "m.ubj"), (saved_lightgbm, "m.txt")]


@pytest.mark.parametrize(("save", "name"), MAKERS)
def test_a_file_answers_as_its_estimator_for_text_and_columns_in_any_order(
    save, name, table, tmp_path
):
    rows, y = table
    estimator = save(coded(rows), y, tmp_path / name)
    model = open_model(ModelSource(tmp_path / name))
    shuffled = rows[["children", "job", "age"]].assign(extra="unused")
    expected = estimator.predict_proba(coded(rows))
    np.testing.assert_allclose(model.predict_proba(shuffled), expected, atol=1e-6)
    # the categories of the file decide, not those of the rows at hand
    nurses = rows[rows.job == "nurse"]
    found = model.predict_proba(nurses)
    np.testing.assert_allclose(found, expected[(rows.job == "nurse").to_numpy()], atol=1e-6)
    assert model.classes == ("0", "1")
    assert len(model.describe()["digest"]) == 64
    assert "age" in model.describe()["signature"]


@pytest.mark.parametrize(("save", "name"), MAKERS)
def test_three_classes_keep_their_order_and_an_array_is_enough(save, name, table, tmp_path):
    rows, y = table
    X = rows[["age", "children"]].to_numpy()
    three = y + (rows.children.to_numpy() == 4)
    estimator = save(X, three, tmp_path / name)
    model = open_model(ModelSource(tmp_path / name, classes=("low", "middle", "high")))
    np.testing.assert_allclose(model.predict_proba(X), estimator.predict_proba(X), atol=1e-6)
    assert model.classes == ("low", "middle", "high")
    with pytest.raises(UserError, match="has 3 classes, but 2 are named"):
        open_model(ModelSource(tmp_path / name, classes=("low", "high")))


@pytest.mark.parametrize("objective", ["multiclassova", "binary"])
def test_lightgbm_with_its_own_sigmoid_answers_probabilities(objective, table, tmp_path):
    rows, y = table
    y = y + (rows.children == 4) if objective == "multiclassova" else y
    estimator = saved_lightgbm(coded(rows), y, tmp_path / "m", objective=objective, sigmoid=2.0)
    found = open_model(ModelSource(tmp_path / "m")).predict_proba(rows)
    expected = estimator.predict_proba(coded(rows))
    np.testing.assert_allclose(found, expected / expected.sum(1, keepdims=True), atol=1e-6)


def test_early_stopping_answers_with_the_rounds_that_the_estimator_uses(table, tmp_path):
    rows, y = table
    model = xgboost.XGBClassifier(
        n_estimators=60, early_stopping_rounds=2, enable_categorical=True, random_state=0, n_jobs=1
    )
    rng = np.random.default_rng(1)
    noisy = np.where(rng.random(len(y)) < 0.4, 1 - y, y)
    model.fit(
        coded(rows)[:200], noisy[:200], eval_set=[(coded(rows)[200:], noisy[200:])], verbose=False
    )
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    model.save_model(tmp_path / "m.json")
    found = open_model(ModelSource(tmp_path / "m.json")).predict_proba(rows)
    np.testing.assert_allclose(found, model.predict_proba(coded(rows)), atol=1e-6)


@pytest.mark.parametrize(("save", "name"), MAKERS[1:])
def test_estimators_in_python_bring_their_class_names(save, name, table, tmp_path):
    rows, y = table
    estimator = save(coded(rows), y, tmp_path / name)
    model = open_model(ModelSource(estimator))
    assert model.classes == ("0", "1")
    np.testing.assert_allclose(
        model.predict_proba(rows), estimator.predict_proba(coded(rows)), atol=1e-6
    )


@pytest.mark.parametrize(("save", "name"), MAKERS)
def test_wrong_columns_are_refused_by_name(save, name, table, tmp_path):
    rows, y = table
    save(coded(rows), y, tmp_path / name)
    model = open_model(ModelSource(tmp_path / name))
    with pytest.raises(UserError, match=r"reads the column 'age'.*did you mean 'ages'"):
        model.predict_proba(rows.rename(columns={"age": "ages"}))
    save(rows[["age", "children"]], y, tmp_path / name)
    model = open_model(ModelSource(tmp_path / name))
    with pytest.raises(UserError, match="'age' holds text"):
        model.predict_proba(rows.assign(age="forty"))


def test_regressors_and_damaged_files_are_refused(table, tmp_path):
    rows, y = table
    numbers = rows[["age", "children"]]
    xgboost.XGBRegressor(**SIZES).fit(numbers, y).save_model(tmp_path / "r.ubj")
    lightgbm.LGBMRegressor(verbose=-1, **SIZES).fit(numbers, y).booster_.save_model(
        tmp_path / "r.txt"
    )
    for name in ("r.ubj", "r.txt"):
        with pytest.raises(UserError, match="no probabilities of classes; available: "):
            open_model(ModelSource(tmp_path / name))
    (tmp_path / "bad.ubj").write_bytes(b"{broken")
    (tmp_path / "bad.txt").write_bytes(b"tree\nnothing")
    for name, library in (("bad.ubj", "XGBoost"), ("bad.txt", "LightGBM")):
        with pytest.raises(UserError, match=f"{library} cannot read the model .*{name}"):
            open_model(ModelSource(tmp_path / name))
