"""`trustbench.audit` on input that is easily misread: other orders of classes, other types."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import trustbench
from trustbench.errors import UserError

INPUTS = ["income", "age"]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 240
    table = pd.DataFrame(
        {
            "town": rng.choice(["north", "south"], n),
            "income": rng.normal(size=n).round(3),
            "age": rng.integers(18, 80, n),
        }
    )
    table["repaid"] = np.where(table["income"] + rng.logistic(size=n) / 2 > 0, "yes", "no")
    return table


@pytest.fixture(scope="module")
def model(table):
    return LogisticRegression().fit(table[INPUTS], table["repaid"])


class Vendor:
    """A model that is not scikit-learn's."""

    def __init__(self, answer, classes=None):
        self.answer = answer
        if classes is not None:
            self.classes_ = classes

    def predict_proba(self, rows):
        return self.answer(rows)


def audit(model, table, evaluators=("utility",), **given):
    keys = {"target": "repaid", "sensitive": "town", "draws": 100, **given}
    if not {"train", "split_column"} & set(keys):
        keys.setdefault("unseen", True)
    return trustbench.audit(model, table, evaluators=list(evaluators), **keys)


def auc(*args, **given):
    return audit(*args, **given).metrics["value"]["utility/auc"]


@pytest.mark.parametrize("favourable", ["yes", "no"])
def test_outputs_stand_for_the_same_classes_whichever_is_favourable(model, table, favourable):
    def answer(rows):
        return model.predict_proba(rows[INPUTS])

    wanted = auc(model, table, favourable=favourable)
    assert wanted > 0.7
    p = answer(table)
    good = p[:, model.classes_.tolist().index(favourable)]
    scored = table.assign(p_no=p[:, 0], p_yes=p[:, 1], score=good)
    given = {
        "names no classes": answer,
        "names them": Vendor(answer, ["no", "yes"]),
        "in another order": Vendor(lambda rows: answer(rows)[:, ::-1], ["yes", "no"]),
        "by codes": Vendor(answer, [0, 1]),
        "one number": lambda rows: answer(rows)[:, 1],
        "a column for each class": "column:p_no,p_yes",
        "the favourable one's column": "column:score",
    }
    found = {name: auc(m, scored, favourable=favourable) for name, m in given.items()}
    assert found == pytest.approx(dict.fromkeys(given, wanted))


def test_codes_of_a_model_are_the_classes_in_order(model, table):
    named = table.assign(repaid=table["repaid"].map({"no": "bad", "yes": "good"}))
    coded = Vendor(lambda rows: model.predict_proba(rows[INPUTS]), [0, 1])
    for favourable in ("bad", "good"):
        assert auc(coded, named, favourable=favourable) == pytest.approx(auc(model, table))


def test_bins_are_classes_in_their_order(table, tmp_path):
    schema = tmp_path / "bins.yaml"
    schema.write_text("target: income\ncolumns:\n  income: {bins: [0]}\n")

    def answer(rows):
        p = 1 / (1 + np.exp(-rows["shown"].to_numpy()))
        return np.stack([1 - p, p], axis=1)

    shown = table.assign(shown=table["income"] + 0.1)
    for favourable in ("below 0", "0 and above"):
        given = {"target": None, "schema": schema, "favourable": favourable}
        assert auc(answer, shown, **given) == 1.0


def test_a_boosted_model_keeps_its_classes_if_the_first_is_favourable(table, tmp_path):
    xgboost = pytest.importorskip("xgboost")
    coded = table.assign(repaid=(table["repaid"] == "yes").astype(int))
    booster = xgboost.XGBClassifier(n_estimators=10, max_depth=2, n_jobs=1)
    booster.fit(coded[INPUTS], coded["repaid"])
    booster.save_model(tmp_path / "m.ubj")
    for model in (booster, str(tmp_path / "m.ubj")):
        found = [auc(model, coded, favourable=good) for good in ("0", "1")]
        assert found[0] == pytest.approx(found[1]) and found[0] > 0.7


@pytest.mark.parametrize(
    ("classes", "said"),
    [(["good", "bad"], "'good' is not among them"), (["yes", "yes"], "two are the same class")],
)
def test_classes_that_the_target_lacks_are_refused(model, table, classes, said):
    vendor = Vendor(lambda rows: model.predict_proba(rows[INPUTS]), classes)
    with pytest.raises(UserError, match=said):
        audit(vendor, table)
    with pytest.raises(UserError, match=said):
        audit(model, table, reference=vendor)


def test_a_model_that_fails_is_one_sentence(model, table):
    holes = table.assign(income=table["income"].where(table.index > 3))
    with pytest.raises(UserError, match=r"fails on the rows of the table .*contains NaN") as error:
        audit(model, holes)
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="ZeroDivisionError"):
        audit(Vendor(lambda rows: 1 / 0), table)


def test_a_model_cannot_change_the_rows_of_another(model, table):
    def spoil(rows):
        rows["income"] = 0.0
        return np.tile([0.5, 0.5], (len(rows), 1))

    found = audit(Vendor(spoil), table, reference=model)
    effect = found.record.effects["utility/auc"]
    assert effect.reference == pytest.approx(auc(model, table))


@pytest.mark.parametrize(
    "seen",
    [
        lambda rows: rows,
        lambda rows: rows.assign(age=rows["age"].astype(str)),
        lambda rows: rows.assign(income=rows["income"].astype(np.float32)),
        lambda rows: rows.assign(town=rows["town"].astype("category")),
        lambda rows: rows.assign(repaid=(rows["repaid"] == "yes").astype(int)),
        lambda rows: rows.assign(town=rows["town"] + " "),
        lambda rows: rows[["repaid", "age", "income", "town"]].assign(id=range(len(rows))),
    ],
)
def test_training_rows_are_found_whatever_their_types(model, table, seen):
    assert audit(model, table, train=seen(table.head(100))).record.rows.copies == 100


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (lambda t: t.head(0), "are an empty table"),
        (lambda t: t.assign(repaid="maybe"), "name the classes in the same way"),
        (lambda t: t[["age"]], "share only age"),
        (lambda t: pd.DataFrame({"other": [1]}), "share no column"),
    ],
)
def test_training_rows_that_cannot_be_compared_are_refused(model, table, train, said):
    with pytest.raises(UserError, match=said):
        audit(model, table, train=train(table))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.set_axis(range(4), axis=1), "not named by text"),
        (lambda t: pd.concat([t, t[["age"]]], axis=1), "several columns named age"),
        (lambda t: t.to_dict(), "is a dict; give a pandas.DataFrame"),
    ],
)
def test_a_table_without_a_name_for_each_column_is_refused(model, table, change, said):
    with pytest.raises(UserError, match=said):
        audit(model, change(table))


def test_the_target_gives_no_groups(model, table):
    with pytest.raises(UserError, match="repaid is the target and a sensitive column"):
        audit(model, table, sensitive=["town", "repaid"])


def test_a_group_that_no_comparison_holds_is_named(model, table):
    small = table.assign(town=table["town"].where(table.index > 2, "tiny"))
    found = audit(model, small, ["fairness"])
    assert found.record.left_out["fairness/left_out"] == "tiny"
    assert "LEFT OUT of fairness, with too few rows: tiny" in str(found)
    assert not audit(model, table, ["fairness"]).record.left_out


def test_audits_with_other_numbers_have_other_records(model, table):
    split = table.assign(part=np.where(table.index < 100, "train", "test"))
    found = [
        audit(model, table).record,
        audit(model, table, reference=model).record,
        audit(model, table, unseen=False).record,
        audit(model, table, ["utility", "privacy"], train=table.head(60)).record,
        audit(model, table, ["utility", "privacy"], train=table.head(60).tail(59)).record,
        audit(model, split, split_column="part").record,
    ]
    assert len({record.id for record in found}) == len(found)


def test_training_rows_that_the_model_cannot_answer_say_why(table):
    both = LogisticRegression().fit(table[INPUTS], table["repaid"])
    train = table.drop(columns="age").iloc[:100]
    found = audit(both, table.iloc[100:], ["utility"], train=train).record
    why = found.missing["utility/member_accuracy"]
    assert why.startswith("needs members; the training rows were given, but ")
    assert "age" in why
