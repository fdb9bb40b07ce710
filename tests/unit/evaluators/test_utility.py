"""Utility against scikit-learn, on decisions as deployed."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from trustbench.evaluators.utility import Utility


def named(measured):
    return {m.name: m.values for m in measured.measurements}


def test_binary_numbers_are_those_of_scikit_learn(system):
    X, y, _ = system.problem.rows("test")
    logits = system.logits(torch.as_tensor(X)).double()
    found = named(Utility().measure(system))
    assert list(found) == [
        *("accuracy", "balanced_accuracy", "auc", "train_test_gap", "member_accuracy"),
        *("logistic_accuracy", "logistic_balanced_accuracy", "logistic_member_accuracy"),
    ]
    for r in range(system.replicates):
        decided, margin = logits[r].argmax(-1), logits[r, :, 1] - logits[r, :, 0]
        assert found["accuracy"][r] == pytest.approx(accuracy_score(y, decided))
        assert found["balanced_accuracy"][r] == pytest.approx(balanced_accuracy_score(y, decided))
        assert found["auc"][r] == pytest.approx(roc_auc_score(y, margin))


def test_the_gap_is_of_each_replicates_own_members(system):
    X, y, _ = system.problem.rows("train")
    hit = (system.logits(torch.as_tensor(X)).argmax(-1).numpy() == y).astype(float)
    found = named(Utility().measure(system))
    for r in range(system.replicates):
        own = hit[r, system.membership[r]].mean()
        assert found["member_accuracy"][r] == pytest.approx(own)
        assert found["train_test_gap"][r] == pytest.approx(own - found["accuracy"][r])


def test_auc_is_missing_with_a_reason_on_five_classes(multiclass_system):
    measured = Utility().measure(multiclass_system)
    assert "auc" not in named(measured)
    assert measured.missing == {"auc": "auc needs two classes; this task has 5"}


def test_a_decider_is_what_counts(system):
    def always_one(X, group):
        return torch.ones(system.replicates, len(X), dtype=torch.int64)

    found = named(Utility().measure(dataclasses.replace(system, decider=always_one)))
    share = system.problem.rows("test")[1].mean()
    np.testing.assert_allclose(found["accuracy"], share)
    np.testing.assert_allclose(found["balanced_accuracy"], 0.5)
