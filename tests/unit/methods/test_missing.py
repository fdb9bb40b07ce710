"""Masks of the three mechanisms and imputers, against closed forms and scikit-learn's answers."""

import math

import numpy as np
import pytest
from sklearn.impute import KNNImputer

from tests.conftest import make_problem
from tests.tables import make_table
from tests.unit.training.test_loop import SCHEDULE
from trustbench.contracts import Feature
from trustbench.interventions.robustness.missing_data import MissingData
from trustbench.interventions.robustness.noisy_data import NoisyData
from trustbench.methods.missing import IMPUTERS, Incomplete, imputed, medians, missing

TABLE = make_table()
N = 200_000


def number(name="x", column=0):
    return Feature(name, "numeric", (column,), -9.0, 9.0)


def lose(X, features, mechanism, rate, affected=None, seed=0):
    rng = np.random.default_rng(seed)
    affected = np.zeros(len(X), dtype=bool) if affected is None else affected
    return missing(X, features, mechanism, rate, affected, rng, medians(X, features))


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_mean_imputation_of_a_gaussian_is_biased_by_the_closed_form_under_mnar_alone(rate):
    """Values above 0 are lost with probability p: what is left has mean -p/(2 - p) sqrt(2/pi).

    Planted: a mask of values below the median turns the sign, and one of any value has no bias.
    """
    X = np.random.default_rng(1).normal(size=(N, 1))
    features = (number(),)
    for mechanism, bias in (("mcar", 0.0), ("mnar", -rate / (2 - rate) * math.sqrt(2 / math.pi))):
        rows = Incomplete(X, lose(X, features, mechanism, rate))
        assert imputed(rows, rows, features, "mean").mean() == pytest.approx(bias, abs=0.012)


def test_mean_imputation_shrinks_the_variance_by_what_is_missing():
    X = np.random.default_rng(2).normal(size=(N, 1))
    rows = Incomplete(X, lose(X, (number(),), "mcar", 0.4))
    assert imputed(rows, rows, (number(),), "mean").var() == pytest.approx(0.6, abs=0.01)


def test_by_group_only_its_rows_lose_cells_and_a_larger_rate_adds_to_a_smaller():
    X = np.random.default_rng(3).normal(size=(4000, 2))
    features, ours = (number("a"), number("b", 1)), np.arange(4000) % 4 == 0
    few, many = (lose(X, features, "mar", rate, ours) for rate in (0.1, 0.5))
    assert not many[~ours].any()
    assert many[ours].mean() == pytest.approx(0.5, abs=0.03)
    assert (many | ~few).all() and few.sum() < many.sum()


def test_by_value_a_category_keeps_its_most_frequent_level():
    colour = TABLE.features[2]
    X = TABLE.rows("train")[0]
    lost = lose(X, (colour,), "mnar", 0.9)[:, 0]
    count = X[:, list(colour.columns)].sum(0)
    level = X[:, list(colour.columns)].argmax(1)
    assert not lost[level == count.argmax()].any()
    assert lost[level != count.argmax()].mean() > 0.7


@pytest.mark.parametrize("how", IMPUTERS)
def test_observed_cells_stay_and_a_category_keeps_exactly_one_level(how):
    features = TABLE.features[:3]
    pool, rows = (
        Incomplete(X, lose(X, features, "mcar", 0.4, seed=s))
        for s, X in enumerate(TABLE.rows(split)[0] for split in ("train", "validation"))
    )
    filled = imputed(pool, rows, features, how)
    assert filled.dtype == rows.X.dtype
    for k, feature in enumerate(features):
        columns, kept = list(feature.columns), ~rows.lost[:, k]
        np.testing.assert_array_equal(filled[np.ix_(kept, columns)], rows.X[np.ix_(kept, columns)])
    block = filled[:, 2:5]
    assert (np.sort(block, axis=1) == [0, 0, 1]).all()


def test_imputers_are_fitted_on_the_pool_and_never_on_the_rows_they_fill():
    """Planted: an imputer that is fitted on the filled rows answers 10 in place of 0."""
    pool = Incomplete(np.zeros((30, 1)), np.zeros((30, 1), dtype=bool))
    rows = Incomplete(np.full((30, 1), 9.0), np.arange(30)[:, None] < 10)
    for how in IMPUTERS:
        filled = imputed(pool, rows, (number(),), how)
        assert (filled[:10] == 0).all() and (filled[10:] == 9).all()


def test_a_regression_recovers_a_function_of_another_column_and_neighbours_are_the_oracles():
    a = np.random.default_rng(4).normal(size=(400, 1))
    X, features = np.concatenate([a, 2 * a + 1], axis=1), (number("a"), number("b", 1))
    rows = Incomplete(X, np.stack([np.zeros(400, bool), np.arange(400) % 3 == 0], axis=1))
    np.testing.assert_allclose(imputed(rows, rows, features, "iterative"), X, atol=1e-2)
    gaps = np.where(rows.lost, np.nan, X)
    oracle = KNNImputer(n_neighbors=5).fit_transform(gaps)
    np.testing.assert_allclose(imputed(rows, rows, features, "knn"), oracle)
    assert np.abs(imputed(rows, rows, features, "mean") - X).max() > 1


def test_training_sees_other_inputs_where_cells_are_missing_and_the_group_as_it_was():
    for mechanism in ("mcar", "mar", "mnar"):
        method = MissingData(mechanism, rate=0.5)
        for split in ("train", "validation"):
            true, seen = TABLE.rows(split)[0], method.inputs(TABLE, split)
            lost = method.table(TABLE, split).lost
            np.testing.assert_array_equal(seen[:, 5:], true[:, 5:])
            assert (seen != true).any()
            np.testing.assert_array_equal(seen[~lost.any(1)], true[~lost.any(1)])


def test_what_does_not_fit_is_a_reason():
    assert "no group 'x'" in MissingData("mar", group="x").supports(TABLE, SCHEDULE)
    assert "leave `group` null" in MissingData(group="g1").supports(TABLE, SCHEDULE)
    assert "change nothing" in NoisyData(label_rate=0.0).supports(TABLE, SCHEDULE)
    assert NoisyData(group="g1").supports(TABLE, SCHEDULE) is None


def test_labels_are_wrong_at_the_stated_rate_and_in_the_named_group_only():
    problem = make_problem(n=20_000, classes=4)
    _, y, group = problem.rows("train")
    noisy = NoisyData(label_rate=0.3, group="g1").labels(problem)
    assert (noisy == y)[group == 0].all()
    # planted: a class drawn among all four, the true one included, gives 0.225
    assert (noisy != y)[group == 1].mean() == pytest.approx(0.3, abs=0.04)
    steps = np.bincount((noisy - y)[noisy != y] % 4, minlength=4)[1:]
    assert steps.min() / steps.sum() == pytest.approx(1 / 3, abs=0.06)
    assert NoisyData().inputs(problem, "train") is None


def test_imprecise_numbers_have_the_stated_deviation_and_categories_stay():
    method = NoisyData(label_rate=0.0, input_sd=0.01)
    true, seen = TABLE.rows("train")[0], method.inputs(TABLE, "train")
    np.testing.assert_array_equal(seen[:, 2:], true[:, 2:])
    assert (seen - true)[:, :2].std() == pytest.approx(0.1, rel=0.15)  # a range of 10
    assert method.labels(TABLE) is None
