"""The population attack and the gap attack are what a few lines by hand compute."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier

import trustbench
from tests.conftest import make_problem, make_system
from tests.unit.api.audited import made_table
from trustbench.evaluators.privacy.population_attack import PopulationAttack
from trustbench.models.given.estimators import GivenEstimator

GIVEN = {"target": "repaid", "split_column": "part", "draws": 100}


@pytest.fixture(scope="module")
def overfit():
    return make_system(make_problem(n=900), replicates=2, steps=200)


def test_the_threshold_is_a_quantile_of_rows_that_no_model_saw(overfit):
    found = PopulationAttack().measure(overfit)
    values = {m.name: m.values for m in found.measurements}
    p = overfit.split_logits("calibration").double().softmax(-1)
    y = torch.as_tensor(overfit.problem.rows("calibration")[1])
    apart = -p[:, range(len(y)), y].log().numpy()
    p = overfit.split_logits("train").double().softmax(-1)
    y = torch.as_tensor(overfit.problem.rows("train")[1])
    loss = -p[:, range(len(y)), y].log().numpy()
    for r, member in enumerate(overfit.membership):
        edge = np.sort(apart[r])[int(0.05 * apart.shape[1])]
        assert (apart[r] < edge).mean() <= 0.05
        assert values["population_tpr_5"][r] == pytest.approx((loss[r, member] < edge).mean())
        assert values["population_fpr_5"][r] == pytest.approx((loss[r, ~member] < edge).mean())
        right = (p[r].argmax(-1) == y).numpy()
        expected = 0.5 + (right[member].mean() - right[~member].mean()) / 2
        assert values["label_auc"][r] == pytest.approx(expected)


def test_too_few_rows_apart_set_no_threshold(overfit):
    splits = overfit.problem.splits
    few = {**splits, "calibration": splits["calibration"][:19]}
    few = dataclasses.replace(overfit.problem, splits=few)
    found = PopulationAttack().measure(dataclasses.replace(overfit, problem=few))
    assert [m.name for m in found.measurements] == ["label_auc"]
    assert "needs 20 calibration rows" in found.missing["population_tpr_5"]


class Labels:
    """A tree that remembers its rows and answers with classes alone."""

    def __init__(self, table):
        seen = table[table["part"] == "train"]
        self.tree = DecisionTreeClassifier(random_state=0).fit(seen[["income", "age"]], seen.repaid)
        self.classes_ = self.tree.classes_
        self.feature_names_in_ = self.tree.feature_names_in_

    def predict(self, rows):
        return self.tree.predict(rows[["income", "age"]])


def test_a_model_of_classes_alone_is_attacked_by_its_decisions():
    table = made_table()
    model = GivenEstimator(Labels(table), "labels")
    found = trustbench.audit(
        model, table, sensitive="town", **GIVEN,
        evaluators=["query_attacks", "population_attack", "individual_fairness", "uncertainty"],
    ).record  # fmt: skip
    attacked = found.metrics["query_attacks/racc_queries"]
    assert attacked.number.value < found.metrics["query_attacks/acc"].number.value - 0.05
    assert found.missing["query_attacks/racc_square"] == "needs logits"
    gap = found.metrics["population_attack/label_auc"].number
    test = table[table.part == "test"]
    right = (model.estimator.predict(test) == test.repaid).mean()
    assert gap.value == pytest.approx(0.5 + (1 - right) / 2)
    assert gap.low > 0.55
    assert found.metrics["individual_fairness/flip_rate"].number.value == 0
    assert found.missing["population_attack/population_tpr_5"] == "needs logits"
    assert found.missing["uncertainty/ece"] == "needs logits"


def test_a_column_of_classes_is_attacked_where_nothing_is_asked():
    table = made_table()
    scored = table.assign(decided=Labels(table).predict(table))
    found = trustbench.audit(
        "column:decided", scored, **GIVEN, evaluators=["query_attacks", "population_attack"]
    ).record
    assert found.metrics["population_attack/label_auc"].number.low > 0.55
    assert found.missing["query_attacks/racc_queries"] == "needs queries"
