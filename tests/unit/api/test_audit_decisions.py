"""What an audit may decide: seen rows, a reference, and the gate."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import trustbench
from tests.unit.api.audited import FEW, fitted, made_table, policy


@pytest.fixture(scope="module")
def table():
    return made_table()


@pytest.fixture(scope="module")
def model(table):
    return fitted(table)


def test_where_nobody_knows_what_was_seen_the_first_line_says_so(model, table):
    test = table[table["part"] == "test"].drop(columns="part")
    limit = policy(limits=[{"metric": "utility", "at_least": 0.5}], unreliable="inconclusive")
    given = {"target": "repaid", "evaluators": ["utility"], "draws": 100, "policy": limit}
    unknown = trustbench.audit(model, test, **given)
    assert str(unknown).startswith("IT IS UNKNOWN WHICH ROWS THE MODEL HAS SEEN")
    assert unknown.exit_code == 4
    assert "unreliable" in str(unknown.gated)
    known = trustbench.audit(model, test, **given, unseen=True)
    assert "IT IS UNKNOWN" not in str(known)
    assert known.exit_code == 0


def test_a_limit_that_is_broken_is_violated_even_on_seen_rows(model, table):
    test = table[table["part"] == "test"].drop(columns="part")
    limit = policy(limits=[{"metric": "utility", "at_least": 0.95}])
    found = trustbench.audit(
        model, test, target="repaid", evaluators=["utility"], draws=100, policy=limit
    )
    assert found.exit_code == 3


def test_copies_of_training_rows_are_found_by_content_and_do_not_count(model, table):
    seen, test = (table[table["part"] == p].drop(columns="part") for p in ("train", "test"))
    # the same rows in another file: other order, numbers as text of the same value
    copied = pd.concat([test, seen.sample(120, random_state=0)]).sample(frac=1, random_state=1)
    train = seen.iloc[::-1].assign(age=seen["age"].astype(float))
    given = {"target": "repaid", "sensitive": "town", "evaluators": FEW, "draws": 100}
    found = trustbench.audit(model, copied, **given, train=train).record
    assert (found.rows.seen, found.rows.copies, found.rows.measured) == (120, 120, 500)
    alone = trustbench.audit(model, test, **given, unseen=True).record
    for name in ("utility/accuracy", "fairness/eo_gap", "uncertainty/nll"):
        assert found.metrics[name].number.value == pytest.approx(alone.metrics[name].number.value)
    assert found.on_seen["utility/accuracy"].n == 120
    assert found.rows.members == 500  # the training rows are attacked


def test_a_model_that_has_seen_every_row_is_not_measured(model, table):
    seen = table[table["part"] == "train"].drop(columns="part")
    limit = policy(limits=[{"metric": "utility", "at_least": 0.5}])
    found = trustbench.audit(
        model, seen, target="repaid", train=seen, evaluators=["utility"], draws=100, policy=limit
    )
    assert found.record.metrics == {}
    assert found.exit_code == 4
    assert "needs a row that the model has not seen" in str(found.gated)
    assert "utility/accuracy" in found.record.on_seen


def test_two_models_are_compared_row_by_row(table, model):
    old = fitted(table, C=1e-4)
    given = {"target": "repaid", "sensitive": "town", "split_column": "part", "evaluators": FEW}
    found = trustbench.audit(model, table, **given, reference=old, draws=400)
    test = table[table["part"] == "test"]
    losses = [
        -np.log(m.predict_proba(test)[np.arange(len(test)), (test["repaid"] == "yes").astype(int)])
        for m in (model, old)
    ]
    difference = losses[0] - losses[1]
    effect = found.record.effects["uncertainty/nll"].number
    assert effect.value == pytest.approx(difference.mean())  # the loss is harm: new minus old
    # paired: the spread is that of the differences, far below that of either model
    assert effect.se == pytest.approx(difference.std() / np.sqrt(len(test)), rel=0.2)
    hits = [(m.predict(test) == test["repaid"]).mean() for m in (model, old)]
    accuracy = found.record.effects["utility/accuracy"].number
    assert accuracy.value == pytest.approx(hits[1] - hits[0])  # accuracy is good: old minus new


def test_a_model_does_not_differ_from_itself(model, table):
    blocks = policy(
        block=[{"verdicts": ["harm"]}],
        limits=[{"metric": "utility", "worse_by_at_most": 0.0}],
        unmeasured="pass",
    )
    found = trustbench.audit(
        model, table, target="repaid", sensitive="town", split_column="part",
        evaluators=FEW, draws=100, reference=model, policy=blocks,
    )  # fmt: skip
    assert (found.effects["effect"] == 0).all()
    assert found.exit_code == 0


def test_a_worse_model_is_blocked(table, model):
    random = LogisticRegression().fit(
        table[["age"]], np.random.default_rng(0).permutation(table["repaid"])
    )
    harm = policy(block=[{"verdicts": ["harm"], "targets": ["utility"]}])
    found = trustbench.audit(
        random, table, target="repaid", sensitive="town", split_column="part",
        evaluators=["utility"], draws=200, reference=model, policy=harm,
    )  # fmt: skip
    assert found.exit_code == 3
    assert "utility utility/accuracy against" in str(found.gated)


def test_what_a_policy_demands_of_a_change_is_left_out_without_a_reference(model, table):
    demands = policy(
        limits=[
            {"metric": "utility", "at_least": 0.5},
            {"metric": "utility", "worse_by_at_most": 0.01},
        ],
        block=[{"verdicts": ["harm"]}],
    )
    found = trustbench.audit(
        model, table, target="repaid", split_column="part", evaluators=["utility"],
        draws=100, policy=demands,
    )  # fmt: skip
    assert found.exit_code == 0
    assert len(found.gated.decisions) == 1
    assert "1 limits on change and 1 rules on verdicts are not decided" in str(found)
