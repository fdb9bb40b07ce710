"""Inputs that hold the group are gone from training and from every later answer."""

import numpy as np
import torch
from fairlearn.preprocessing import CorrelationRemover

from tests.conftest import make_problem, make_system
from tests.tables import make_table
from tests.unit.training.test_loop import SCHEDULE
from trustbench.evaluators.fairness.individual_fairness import IndividualFairness
from trustbench.interventions.fairness.correlation_removal import CorrelationRemoval
from trustbench.interventions.fairness.unawareness import Unawareness
from trustbench.methods.sensitive_inputs import sensitive_columns

TABLE = make_table()
HIDDEN = sensitive_columns(TABLE)
OTHERS = [c for c in range(TABLE.n_features) if c not in HIDDEN]


def test_the_group_flips_no_decision_and_did_before():
    aware = make_system(TABLE)
    flips = [
        IndividualFairness().measure(s).measurements[0].values
        for s in (aware, Unawareness().deploy(aware))
    ]
    assert flips[0].max() > 0
    assert (flips[1] == 0).all()


def test_training_sees_other_inputs_unchanged_and_none_of_the_group():
    for split in ("train", "validation"):
        seen, true = Unawareness().inputs(TABLE, split), TABLE.rows(split)[0]
        assert (seen[:, HIDDEN] == 0).all()
        assert (true[:, HIDDEN] != 0).any()
        np.testing.assert_array_equal(seen[:, OTHERS], true[:, OTHERS])


def test_data_without_such_an_input_is_refused_with_the_name_of_the_group():
    for method in (Unawareness(), CorrelationRemoval()):
        assert "named g" in method.supports(make_problem(), SCHEDULE)
        assert method.supports(TABLE, SCHEDULE) is None


def correlations(X):
    s, rest = TABLE.rows("train")[0][:, HIDDEN], X[:, OTHERS]
    s, rest = (v[:, v.std(0) > 1e-6] for v in (s, rest))
    return np.abs(np.corrcoef(s.T, rest.T)[: s.shape[1], s.shape[1] :])


def test_nothing_of_the_pool_correlates_with_the_group_afterwards():
    assert correlations(TABLE.rows("train")[0]).max() > 0.1
    assert correlations(CorrelationRemoval().inputs(TABLE, "train")).max() < 1e-5
    assert correlations(CorrelationRemoval(0.5).inputs(TABLE, "train")).max() > 0.05


def test_the_map_is_that_of_fairlearn_on_rows_that_were_not_fitted():
    for alpha in (1.0, 0.3):
        oracle = CorrelationRemover(sensitive_feature_ids=HIDDEN, alpha=alpha)
        oracle.fit(TABLE.rows("train")[0].astype(float))
        expected = oracle.transform(TABLE.rows("validation")[0].astype(float))
        seen = CorrelationRemoval(alpha).inputs(TABLE, "validation")
        np.testing.assert_allclose(seen[:, OTHERS], expected, atol=1e-5)
        assert (seen[:, HIDDEN] == 0).all()
    uncentred = TABLE.rows("validation")[0][:, HIDDEN].mean(0)  # a planted error would shift by it
    assert np.abs(uncentred).max() > 0.1


def test_the_deployed_model_answers_on_mapped_rows():
    plain = make_system(TABLE)
    X = TABLE.rows("validation")[0]
    mapped = CorrelationRemoval().inputs(TABLE, "validation")
    for method, seen in (
        (CorrelationRemoval(), mapped),
        (Unawareness(), Unawareness().inputs(TABLE, "validation")),
    ):
        answered = method.deploy(plain).logits(torch.as_tensor(X))
        expected = plain.logits(torch.as_tensor(seen))
        assert torch.allclose(answered, expected, atol=1e-4)
        assert not torch.allclose(answered, plain.logits(torch.as_tensor(X)), atol=1e-2)
