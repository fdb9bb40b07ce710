"""Models from MLflow open by their own format, with the columns and types of their signature."""

import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from trustbench.contracts.given import PICKLE, ModelSource
from trustbench.errors import UserError
from trustbench.models.given.opening import open_model
from trustbench.tracking.given_models import MlflowAdapter
from trustbench.tracking.server import quiet

# mlflow's own: the types of what it saves, and how it asks its database
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:The ``noload`` loader:DeprecationWarning"),
]
TREE = "sklearn.tree._tree.Tree"


def opened(of, **source):
    return open_model(ModelSource(of, **source), beside=[MlflowAdapter()])


@pytest.fixture(scope="module")
def mlflow():
    with quiet():
        import mlflow
        import mlflow.lightgbm
        import mlflow.onnx
        import mlflow.sklearn
        import mlflow.xgboost

    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    return mlflow


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "age": rng.normal(40, 10, 200),
            "plan": rng.choice(["1", "2"], 200),
            "visits": rng.integers(0, 9, 200),
        }
    )
    return rows, np.where((rows.age > 40) ^ (rows.plan == "2"), "yes", "no")


@pytest.fixture(scope="module")
def pipeline(table):
    encode = make_column_transformer(
        (StandardScaler(), ["age", "visits"]), (OneHotEncoder(handle_unknown="ignore"), ["plan"])
    )
    return make_pipeline(encode, LogisticRegression()).fit(*table)


@pytest.fixture(scope="module")
def folder(mlflow, table, pipeline, tmp_path_factory):
    path = tmp_path_factory.mktemp("mlflow") / "pipeline"
    signature = mlflow.models.infer_signature(table[0], pd.Series(table[1]))
    mlflow.sklearn.save_model(pipeline, path, signature=signature, pip_requirements=[])
    return path


def test_a_folder_gets_the_types_of_its_signature(folder, table, pipeline):
    rows, _ = table
    model = opened(folder)
    # a reader that took the codes of `plan` for numbers, and a column that is not the model's
    read = rows.assign(plan=rows.plan.astype(int), extra=1)[["extra", "visits", "plan", "age"]]
    np.testing.assert_allclose(model.predict_proba(read), pipeline.predict_proba(rows))
    assert model.classes == ("no", "yes")
    assert (np.array(model.classes)[model.decide(read)] == pipeline.predict(rows)).all()
    facts = model.describe()
    assert facts["signature"] == "age: double, plan: string, visits: long"
    assert facts["kind"] == "scikit-learn LogisticRegression, MLflow flavour sklearn"
    assert len(facts["digest"]) == 64
    with pytest.raises(UserError, match="reads the column 'age'"):
        model.predict_proba(rows.drop(columns="age"))
    with pytest.raises(UserError, match="reads 'age' as double, and the table holds text"):
        model.predict_proba(rows.assign(age="forty"))


def test_a_registered_model_and_a_run_are_fetched(mlflow, folder, table, pipeline, tmp_path):
    address = f"sqlite:///{tmp_path}/mlflow.db"
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(address)
    try:
        where = mlflow.create_experiment("own", artifact_location=(tmp_path / "a").as_uri())
        with mlflow.start_run(experiment_id=where) as run:
            mlflow.log_artifacts(folder, "model")
        mlflow.MlflowClient().create_registered_model("credit")
        mlflow.MlflowClient().create_model_version(
            "credit", f"{run.info.artifact_uri}/model", run.info.run_id
        )
    finally:
        mlflow.set_tracking_uri(before)
    rows, _ = table
    settings = {k: v for k, v in os.environ.items() if k.startswith("MLFLOW")}
    for uri in ("models:/credit/1", f"runs:/{run.info.run_id}/model"):
        model = opened(uri, options={"tracking_uri": address})
        np.testing.assert_allclose(model.predict_proba(rows), pipeline.predict_proba(rows))
        assert model.describe()["uri"] == uri
    with pytest.raises(UserError, match=r"models:/credit/9 cannot be fetched from MLflow"):
        opened("models:/credit/9", options={"tracking_uri": address})
    assert {k: v for k, v in os.environ.items() if k.startswith("MLFLOW")} == settings
    assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == before


def test_the_user_and_not_the_file_says_which_types_are_trusted(mlflow, table, tmp_path):
    """MLflow's file lists the types that it wants trusted; that list must not count."""
    rows, y = table
    X = rows[["age", "visits"]]
    forest = RandomForestClassifier(3, random_state=0).fit(X, y)
    mlflow.sklearn.save_model(
        forest, tmp_path / "m", skops_trusted_types=[TREE], pip_requirements=[]
    )
    with pytest.raises(UserError, match=rf"--trust {TREE}"):
        opened(tmp_path / "m")
    model = opened(tmp_path / "m", trust=frozenset({TREE}))
    np.testing.assert_allclose(model.predict_proba(rows), forest.predict_proba(X))


def test_boosting_and_onnx_within_mlflow_need_no_trust(mlflow, table, tmp_path):
    import lightgbm
    import xgboost
    from skl2onnx import to_onnx

    rows, y = table
    X, codes = rows[["age", "visits"]].astype(np.float32), (y == "yes").astype(int)
    sizes = {"n_estimators": 3, "max_depth": 2, "n_jobs": 1}
    boosted = xgboost.XGBClassifier(**sizes).fit(X, codes)
    mlflow.xgboost.save_model(boosted, tmp_path / "x", pip_requirements=[])
    light = lightgbm.LGBMClassifier(verbose=-1, **sizes).fit(X, codes)
    mlflow.lightgbm.save_model(light.booster_, tmp_path / "l", pip_requirements=[])
    linear = LogisticRegression().fit(X.to_numpy(), codes)
    exported = to_onnx(linear, X.to_numpy()[:1])
    mlflow.onnx.save_model(exported, tmp_path / "o", pip_requirements=[])
    for name, source in (("x", boosted), ("l", light), ("o", linear)):
        given = X.to_numpy() if name == "o" else X
        found = opened(tmp_path / name).predict_proba(rows[["age", "visits"]])
        np.testing.assert_allclose(found, source.predict_proba(given), atol=1e-5)


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_and_code_run_only_with_trust(mlflow, table, tmp_path):
    rows, y = table
    X = rows[["age"]]
    model = LogisticRegression().fit(X, y)
    mlflow.sklearn.save_model(
        model, tmp_path / "p", serialization_format="cloudpickle", pip_requirements=[]
    )
    with pytest.raises(UserError, match="add --trust if you made it"):
        opened(tmp_path / "p")
    trusted = opened(tmp_path / "p", trust=frozenset({PICKLE}))
    np.testing.assert_allclose(trusted.predict_proba(rows), model.predict_proba(X))

    class Function(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return (model_input["age"] > 40).astype(float)

    mlflow.pyfunc.save_model(tmp_path / "f", python_model=Function(), pip_requirements=[])
    with pytest.raises(UserError, match="flavours python_function, which run the code"):
        opened(tmp_path / "f", classes=("no", "yes"))
    found = opened(tmp_path / "f", classes=("no", "yes"), trust=frozenset({PICKLE}))
    assert (found.predict_proba(rows)[:, 1] == (rows.age > 40)).all()


@pytest.mark.parametrize("name", ["../../elsewhere.skops", "gone.skops"])
def test_a_description_that_points_elsewhere_is_refused(name, folder, tmp_path):
    copy = tmp_path / "m"
    shutil.copytree(folder, copy)
    shutil.copy(copy / "model.skops", tmp_path.parent / "elsewhere.skops")
    stated = yaml.safe_load((copy / "MLmodel").read_text())
    stated["flavors"]["sklearn"]["pickled_model"] = name
    (copy / "MLmodel").write_text(yaml.safe_dump(stated))
    with pytest.raises(UserError, match="which is not in its folder"):
        opened(copy)
    Path(tmp_path.parent / "elsewhere.skops").unlink()


def test_a_damaged_description_is_refused(tmp_path):
    (tmp_path / "MLmodel").write_text("- 1\n")
    with pytest.raises(UserError, match="damaged MLmodel"):
        opened(tmp_path)
