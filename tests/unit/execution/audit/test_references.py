"""Members of a given model are attacked beside models of the user's recipe."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import trustbench
from trustbench.commands.cli import main
from trustbench.errors import UserError
from trustbench.methods.attacks import membership as mia

INPUTS = ["a", "b", "c", "d"]
GIVEN = {"target": "y", "draws": 100, "evaluators": ["privacy", "membership_attacks"]}
RECIPE = """
from sklearn.ensemble import RandomForestClassifier

def fit(X, y):
    return RandomForestClassifier(20).fit(X, y)
"""


@pytest.fixture(scope="module")
def table():
    """Noisy labels 3 and 7, so that a deep forest remembers its rows."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(500, 4)), columns=INPUTS)
    z = rows.a + rows.b + 1.5 * rng.normal(size=len(rows))
    return rows.assign(
        y=np.where(z > 0, 7, 3), part=np.repeat(["train", "test", "calibration"], [220, 220, 60])
    )


@pytest.fixture(scope="module")
def forest(table):
    seen = table[table.part == "train"]
    return RandomForestClassifier(20, random_state=1).fit(seen[INPUTS], seen.y)


def fit(X, y):
    return RandomForestClassifier(20).fit(X, y)


@pytest.fixture(scope="module")
def attacked(forest, table):
    return trustbench.audit(forest, table, split_column="part", recipe=fit, references=8, **GIVEN)


def test_a_forest_that_remembers_its_rows_is_found_out(attacked):
    found = attacked.record.metrics
    attacks = ("rmia_auc", "rmia_offline_auc"), ("lira_auc", "lira_offline_auc", "strongest_auc")
    both = zip(("membership_attacks", "privacy"), attacks, strict=True)
    for name in (f"{evaluator}/{n}" for evaluator, group in both for n in group):
        number = found[name].number
        assert number.value > 0.6, name
        assert 0.6 < number.low < number.value < number.high, name
    assert attacked.record.references == {
        "recipe": "fit", "count": 8, "rows_of_each": 219, "pool": 440, "seed": 0,
    }  # fmt: skip
    assert "beside 8 models of fit, each fitted on 219 of the 440" in str(attacked)


def test_without_references_the_reason_is_said(forest, table):
    found = trustbench.audit(forest, table, split_column="part", **GIVEN).record
    assert not [n for n in found.metrics if "lira" in n or "rmia" in n or "strongest" in n]
    assert "needs replicates" in found.missing["privacy/lira_auc"]
    assert "needs replicates" in found.missing["membership_attacks/rmia_auc"]


def test_a_model_that_remembers_nothing_is_not_accused(table):
    rng = np.random.default_rng(1)
    others = pd.DataFrame(rng.normal(size=(400, 4)), columns=INPUTS)
    other = LogisticRegression().fit(others, np.where(others.a + others.b > 0, 7, 3))
    found = trustbench.audit(
        other, table, split_column="part", references=8, **GIVEN,
        recipe=lambda X, y: LogisticRegression().fit(X, y),
    ).record.metrics  # fmt: skip
    for name in ("membership_attacks/rmia_auc", "privacy/lira_auc"):
        number = found[name].number
        assert number.low < 0.5 < number.high, name


def test_numbers_are_those_of_the_attacks_on_the_same_probabilities(attacked, forest, table):
    """The references are fitted again by hand, on the rows that the audit gave them."""
    seen, test, held = (table[table.part == p] for p in ("train", "test", "calibration"))
    pool = pd.concat([seen, test])
    given = []

    def noted(X, y):
        given.append((X, y))
        return fit(X, y)

    again = trustbench.audit(
        forest, table, split_column="part", recipe=noted, references=8, **GIVEN
    ).record
    key = {tuple(row): k for k, row in enumerate(pool[INPUTS].to_numpy())}
    inside = np.zeros((8, len(pool)), dtype=bool)
    for k, (X, y) in enumerate(given):
        rows = [key[tuple(row)] for row in X[INPUTS].to_numpy()]
        inside[k, rows] = True
        assert (pool.y.to_numpy()[rows] == y).all(), "classes come as the table writes them"
    assert (inside.sum(0) == 4).all()
    assert (inside[::2] == ~inside[1::2]).all()
    name = "membership_attacks/rmia_auc"
    assert again.metrics[name].number.value == attacked.record.metrics[name].number.value
    member = np.repeat([True, False], [len(seen), len(test)])
    streams = trustbench.Streams(0)
    p, population = [forest.predict_proba(pool[INPUTS])], [forest.predict_proba(held[INPUTS])]
    for k, (X, y) in enumerate(given):
        with streams.global_state("initialisation", k, "audit_reference"):
            model = fit(X, y)
        p.append(model.predict_proba(pool[INPUTS]))
        population.append(model.predict_proba(held[INPUTS]))
    of = [(q[:, np.arange(len(d)), (d.y == 7).astype(int)])
          for q, d in ((np.stack(p), pool), (np.stack(population), held))]  # fmt: skip
    scores = mia.rmia(
        of[0], np.vstack([member, inside]), of[1], gamma=1.0, offline_a=None, targets=1
    )
    expected = mia.auc(scores.values[0], member)
    assert attacked.record.metrics[name].number.value == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"references": 7}, "give an even number from 4"),
        ({"recipe": lambda X, y: 3}, "return a model with predict_proba"),
        ({"recipe": lambda X, y: X.nothing}, "fails on .* training rows"),
        ({"split_column": None, "unseen": True}, "--train FILE or a --split-column"),
        ({"recipe": "nowhere.py:fit"}, "does not exist"),
    ],
)
def test_what_a_recipe_cannot_do_is_one_sentence(forest, table, keys, said):
    given = {"split_column": "part", "recipe": fit, "references": 4, **GIVEN, **keys}
    rows = table if given["split_column"] else table.drop(columns="part")
    with pytest.raises(UserError, match=said) as error:
        trustbench.audit(forest, rows, **given)
    assert "\n" not in str(error.value)


def test_rows_apart_are_needed(forest, table):
    rows = table[table.part != "calibration"]
    with pytest.raises(UserError, match=r"--calibration 0\.2"):
        trustbench.audit(forest, rows, split_column="part", recipe=fit, **GIVEN)


def test_the_command_fits_the_recipe_of_a_file(tmp_path, forest, table):
    from skops import io

    (tmp_path / "mine.py").write_text(RECIPE)
    io.dump(forest, tmp_path / "model.skops")
    table.to_csv(tmp_path / "all.csv", index=False)
    train = tmp_path / "train.csv"
    table[table.part == "train"].drop(columns="part").to_csv(train, index=False)
    args = [
        "audit", "--model", str(tmp_path / "model.skops"), "--data", str(tmp_path / "all.csv"),
        "--target", "y", "--train", str(train), "--calibration", "0.2", "--draws", "100",
        "--evaluator", "membership_attacks", "--recipe", f"{tmp_path / 'mine.py'}:fit",
        "--references", "4", "--format", "json", "--output", str(tmp_path / "a.json"),
        "--output-dir", str(tmp_path / "out"), "--trust", "sklearn.tree._tree.Tree",
    ]  # fmt: skip
    assert main(args) == 0
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["references"]["count"] == 4
    assert record["metrics"]["membership_attacks/rmia_auc"]["number"]["value"] > 0.6
