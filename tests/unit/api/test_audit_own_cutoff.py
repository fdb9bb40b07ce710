"""What an audit says about a model's answers: its own cutoff, swapped scores, broken limits."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import FixedThresholdClassifier

from tests.unit.api.audited import fitted, made_table, policy
from trustbench.api.audits import audit
from trustbench.errors import UserError

KEYS = {"target": "repaid", "sensitive": "town", "split_column": "part"}


@pytest.fixture(scope="module")
def models():
    table = made_table()
    plain = fitted(table)
    cut = FixedThresholdClassifier(plain, threshold=0.8, response_method="predict_proba")
    seen = table[table["part"] == "train"]
    return table, plain, cut.fit(seen[["income", "age", "town"]], seen["repaid"])


def test_accuracy_and_fairness_are_those_of_predict(models):
    table, plain, cut = models
    names = ["utility", "fairness", "individual_fairness"]
    found = audit(cut, table, evaluators=names, draws=100, **KEYS)
    test = table[table["part"] == "test"]
    rows, truth = test[["income", "age", "town"]], test["repaid"].to_numpy()
    decided = cut.predict(rows)
    values = found.metrics["value"]
    assert values["utility/accuracy"] == pytest.approx(np.mean(decided == truth))
    assert np.mean(decided == truth) != np.mean(plain.predict(rows) == truth)
    share = [np.mean(decided[test["town"] == town] == "yes") for town in ("north", "south")]
    assert values["fairness/dp_gap"] == pytest.approx(abs(share[0] - share[1]))
    swapped = rows.assign(town=np.where(rows["town"] == "north", "south", "north"))
    changed = np.mean(cut.predict(swapped) != decided)
    assert values["individual_fairness/flip_rate"] == pytest.approx(changed)
    differ = (cut.predict(table) != plain.predict(table)).sum()
    assert f"differ from its largest probability on {differ:,} of 1,200 rows" in str(found)


def test_a_model_that_decides_by_its_largest_probability_says_nothing_about_it(models):
    table, plain, _ = models
    found = audit(plain, table, evaluators="utility", draws=100, **KEYS)
    assert "decisions" not in found.record.model


def test_scores_alone_say_which_threshold_is_assumed():
    keys = {"target": "y", "sensitive": "g", "unseen": True, "draws": 100}
    found = audit("column:p", scored(), evaluators="utility", **keys)
    assert (
        "decisions are assumed: the largest probability decides (of two classes, a thresh"
        in str(found)
    )


def scored(n=600, groups=9):
    """Scores of a fair model, and groups that mean nothing."""
    rng = np.random.default_rng(0)
    p = rng.random(n)
    truth = np.where(rng.random(n) < p, "yes", "no")
    return pd.DataFrame({"y": truth, "g": rng.integers(groups, size=n).astype(str), "p": p})


def test_an_auc_below_one_half_points_out_swapped_scores():
    rows, keys = scored(), {"target": "y", "sensitive": "g", "unseen": True, "draws": 100}
    right = audit("column:p", rows, evaluators="utility", **keys)
    swapped = audit("column:p", rows.assign(p=1 - rows["p"]), evaluators="utility", **keys)
    assert "THE AUC IS BELOW .5" not in str(right)
    assert "THE AUC IS BELOW .5: the model ranks rows the wrong way round" in str(swapped)


def test_a_limit_that_random_groups_would_break_as_well_says_so():
    keys = {"target": "y", "sensitive": "g", "unseen": True, "draws": 100}
    limit = {"metric": "fairness/dp_gap", "at_most": 0.01}
    plain = policy(limits=[limit])
    found = audit("column:p", scored(), evaluators="fairness", policy=plain, **keys)
    assert found.exit_code == 3
    assert "violated (as random groups of the same sizes would; the limit is on" in str(found.gated)
    beyond = policy(limits=[{**limit, "beyond_chance": True}])
    found = audit("column:p", scored(), evaluators="fairness", policy=beyond, **keys)
    assert found.exit_code == 4


@pytest.mark.parametrize("names", [[], "", [""]])
def test_an_audit_of_nothing_is_refused(names):
    with pytest.raises(UserError, match="no evaluator is named, so nothing would be measured"):
        audit("column:p", scored(), target="y", evaluators=names)


def test_an_error_of_lightgbm_is_one_sentence():
    import lightgbm

    class Model:
        classes_ = np.array(["no", "yes"])

        def predict_proba(self, rows):
            raise lightgbm.basic.LightGBMError("The number of features in data (4) is not 3.")

    sentence = r"fails on the rows of the table \(LightGBMError: The number of features in data"
    with pytest.raises(UserError, match=sentence):
        audit(Model(), scored(), target="y", unseen=True, evaluators="utility")
