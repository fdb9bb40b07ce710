"""Given models: each adapter opens its kind, and each breach of the contract is one sentence."""

import pickle
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from skops import io

from trustbench.contracts.given import PICKLE, GivenModel, ModelSource
from trustbench.contracts.given_checks import checked_probabilities
from trustbench.errors import UserError
from trustbench.models.given.class_names import class_positions, columns_in_order
from trustbench.models.given.opening import adapters, open_model


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    income, town = rng.normal(size=200), rng.choice(["north", "south"], 200)
    repaid = np.where(income + (town == "south") + rng.normal(size=200) > 0, "yes", "no")
    score = 1 / (1 + np.exp(-income))
    return pd.DataFrame(
        {"town": town, "income": income, "score": score, "decided": repaid, "repaid": repaid}
    )


@pytest.fixture(scope="module")
def pipeline(table):
    steps = make_column_transformer((StandardScaler(), ["income"]), (OneHotEncoder(), ["town"]))
    return make_pipeline(steps, LogisticRegression()).fit(
        table[["town", "income"]], table["repaid"]
    )


@dataclass
class Fake:
    """A model that answers with any function of the rows."""

    answer: object
    classes: tuple = ("no", "yes")
    channels: frozenset = field(default=frozenset({"probabilities", "queries"}))
    module: None = None

    def predict_proba(self, rows):
        return self.answer(np.asarray(rows))

    def describe(self):
        return {"kind": "fake"}


def sigmoid(X):
    p = 1 / (1 + np.exp(-X[:, 0]))
    return np.stack([1 - p, p], axis=1)


CALLS = iter(range(1000))
BREACHES = {
    "an array (200, 1) for 200 rows and 2 classes": lambda X: sigmoid(X)[:, 1:],
    "NaN or infinite values in 1 of 200 rows (the first: row 3)": lambda X: np.where(
        (np.arange(len(X)) == 3)[:, None], np.nan, sigmoid(X)
    ),
    "which is not a probability": lambda X: np.stack([-X[:, 0], X[:, 0]], axis=1),
    "add up to 2": lambda X: np.ones((len(X), 2)),
    "two calls with the same rows": lambda X: sigmoid(X + next(CALLS)),
    "depends on the other rows of its batch": lambda X: sigmoid(X - X.mean()),
}


def test_a_sound_model_gives_its_probabilities(table):
    X = table[["income"]].to_numpy()
    assert isinstance(Fake(sigmoid), GivenModel)
    assert checked_probabilities(Fake(sigmoid), X, "fake") == pytest.approx(sigmoid(X))


@pytest.mark.parametrize("said", BREACHES)
def test_each_breach_of_the_contract_is_one_sentence(said, table):
    with pytest.raises(UserError, match=r"^model fake: ") as error:
        checked_probabilities(Fake(BREACHES[said]), table[["income"]].to_numpy(), "fake")
    assert said in str(error.value)


def test_fractions_without_probabilities_are_refused(table):
    model = Fake(sigmoid, channels=frozenset({"queries"}))
    with pytest.raises(UserError, match="offers decisions only but returns fractions"):
        checked_probabilities(model, table[["income"]].to_numpy(), "fake")


def test_a_pipeline_reads_its_own_columns_of_the_table(pipeline, table):
    model = open_model(ModelSource(pipeline))
    assert model.classes == ("no", "yes")
    assert model.channels == {"probabilities", "queries"}
    assert model.describe()["signature"] == "town, income"
    wanted = pipeline.predict_proba(table[["town", "income"]])
    assert checked_probabilities(model, table, "own") == pytest.approx(wanted)
    with pytest.raises(UserError, match="fitted on town, which the table lacks"):
        model.predict_proba(table[["income"]])


def test_without_predict_proba_an_estimator_decides(table):
    svm = LinearSVC().fit(table[["income"]], table["repaid"])
    model = open_model(ModelSource(svm))
    assert "probabilities" not in model.channels
    answers = checked_probabilities(model, table, "svm")
    assert (answers[:, 1] == (svm.predict(table[["income"]]) == "yes")).all()


@pytest.mark.parametrize(
    ("fitted", "said"),
    [(LogisticRegression(), "fit it first"), (Ridge(), "give a classifier"),
     (StandardScaler(), "without `predict`")],
)  # fmt: skip
def test_what_is_not_a_fitted_classifier_is_refused(fitted, said):
    with pytest.raises(UserError, match=said):
        open_model(ModelSource(fitted))


def test_a_file_of_skops_is_read_and_its_unknown_types_are_named(tmp_path, pipeline, table):
    path = tmp_path / "model.skops"
    io.dump(pipeline, path)
    model = open_model(ModelSource(str(path)))
    assert model.predict_proba(table) == pytest.approx(pipeline.predict_proba(table))
    assert len(model.describe()["digest"]) == 64
    forest = RandomForestClassifier(3).fit(table[["income"]], table["repaid"])
    io.dump(forest, path)
    with pytest.raises(UserError, match=r"add --trust sklearn\.tree\._tree\.Tree") as error:
        open_model(ModelSource(path))
    trusted = frozenset([str(error.value).rsplit("--trust ", 1)[1].rstrip(".")])
    again = open_model(ModelSource(path, trust=trusted))
    assert again.predict_proba(table) == pytest.approx(forest.predict_proba(table[["income"]]))
    path.write_text("something else")
    with pytest.raises(UserError, match="is not a file of skops"):
        open_model(ModelSource(path))


def test_a_pickle_needs_to_be_trusted(tmp_path, pipeline, table):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(pipeline))
    with pytest.raises(UserError, match="runs the code that it holds"):
        open_model(ModelSource(path))
    model = open_model(ModelSource(path, trust=frozenset([PICKLE])))
    assert model.predict_proba(table) == pytest.approx(pipeline.predict_proba(table))
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be unpickled"):
        open_model(ModelSource(path, trust=frozenset([PICKLE])))


def test_predictions_are_a_score_or_a_class_or_one_column_per_class(table):
    def opened(columns):
        return open_model(ModelSource(f"column:{columns}", classes=("no", "yes"), table=table))

    score, decided, both = (
        opened("score"),
        opened("decided"),
        opened("score,score"),
    )
    assert score.channels == {"probabilities"}
    assert checked_probabilities(score, table, "s")[:, 1] == pytest.approx(table["score"])
    assert decided.channels == frozenset()
    assert (decided.predict_proba(table)[:, 1] == (table["decided"] == "yes")).all()
    with pytest.raises(UserError, match="add up to"):
        checked_probabilities(both, table, "b")
    for columns, said in {
        "scor": "did you mean 'score'",
        "income": "neither a class of the target nor a probability",
        "score,score,score": "3 columns of predictions were given for 2 classes",
    }.items():
        with pytest.raises(UserError, match=said):
            opened(columns).predict_proba(table)


def test_what_no_adapter_accepts_is_refused_with_every_kind():
    with pytest.raises(UserError, match="is not an existing file or folder") as error:
        open_model(ModelSource("absent.bin"))
    assert all(a.example in str(error.value) for a in adapters())


def test_classes_are_matched_by_name_or_as_no_and_yes():
    assert class_positions([0.0, True, "YES", "x"], ("no", "yes")).tolist() == [0, 1, 1, -1]
    assert class_positions([0, 1], ("bad", "good")).tolist() == [-1, -1]
    assert columns_in_order(("b", "a"), ("a", "b", "c"), "m").tolist() == [1, 0, -1]
    with pytest.raises(UserError, match="'d' is not among them"):
        columns_in_order(("a", "d"), ("a", "b"), "m")
