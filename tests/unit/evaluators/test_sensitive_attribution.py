"""Rates of known explanations and known models; scaffolding hides what the honest twin shows."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_system
from tests.tables import make_table
from trustbench.evaluators.sensitive_attribution import (
    SensitiveAttribution,
    feature_sizes,
    features_above,
)
from trustbench.interventions.lime import LimeRelease
from trustbench.interventions.scaffold import Scaffold

NAMES = ["hidden_bias", "top1_sensitive_rate", "top3_sensitive_rate", "reliance"]


@pytest.fixture(scope="module")
def table_system():
    return make_system(make_table(n=1500), replicates=2, steps=60)


def measured(system, **fields):
    return {m.name: m.values for m in SensitiveAttribution(**fields).measure(system).measurements}


def explained_by(system, attributions):
    """Every row gets the attributions [d]."""
    vector = torch.tensor(attributions)

    def explain(X, repeat):
        return vector.expand(system.replicates, len(X), 7)

    return dataclasses.replace(system, explainer=explain)


@pytest.mark.parametrize(
    ("attributions", "top1", "top3"),
    [
        ([0.1, 0.2, 0.0, 0.0, 0.0, 0.5, -0.5], 1, 1),
        ([0.9, 0.2, 0.0, 0.0, 0.0, 0.5, -0.5], 1, 1),  # 1.0 in two columns of opposite sign
        ([0.9, 0.2, 0.0, 0.0, 0.0, 0.5, 0.0], 0, 1),
        ([0.9, 0.8, 0.3, 0.3, 0.3, 0.5, 0.0], 0, 0),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0, 0),  # what is not named is in no top
    ],
)
def test_ranks_of_known_attributions(table_system, attributions, top1, top3):
    found = measured(explained_by(table_system, attributions))
    assert list(found) == NAMES
    np.testing.assert_array_equal(found["top1_sensitive_rate"], top1)
    np.testing.assert_array_equal(found["top3_sensitive_rate"], top3)


@pytest.mark.parametrize("wrong", [None, "largest column", "signed sum"])
def test_sizes_are_sums_over_columns_by_brute_force(table_system, wrong):
    problem = table_system.problem
    values = torch.randn(2, 9, 7, generator=torch.Generator().manual_seed(0))
    rule = {
        None: lambda v: np.abs(v).sum(-1),
        "largest column": lambda v: np.abs(v).max(-1),
        "signed sum": lambda v: np.abs(v.sum(-1)),
    }[wrong]
    each = [rule(values.double().numpy()[..., list(f.columns)]) for f in problem.features]
    expected = np.stack(each, axis=-1)
    found = feature_sizes(problem, values)
    assert np.allclose(found, expected) == (wrong is None)
    order = np.argsort(-found.numpy(), axis=-1)
    place = (order == 3).argmax(axis=-1)
    np.testing.assert_array_equal(features_above(found, 3).numpy(), place)


def test_reliance_is_the_share_of_decisions_that_the_attribute_tips(table_system):
    X, _, group = table_system.problem.rows("test")
    flipped = X.copy()
    flipped[:, [5, 6]] = flipped[:, [6, 5]]
    before, after = (table_system.decide(torch.as_tensor(rows), group) for rows in (X, flipped))
    expected = (before != after).double().mean(1).numpy()
    named = explained_by(table_system, [0.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.0])
    found = measured(named)
    np.testing.assert_allclose(found["reliance"], expected)
    assert (expected > 0.1).all() and (expected < 0.6).all()
    np.testing.assert_allclose(found["hidden_bias"], expected)
    shown = explained_by(table_system, [0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0])
    np.testing.assert_array_equal(measured(shown)["hidden_bias"], 0.0)


def test_scaffolding_hides_what_the_honest_twin_shows(table_system):
    lime = LimeRelease(samples=200)
    open_, hidden = (
        measured(lime.deploy(Scaffold(hide=h).deploy(table_system)), points=40)
        for h in (False, True)
    )
    np.testing.assert_array_equal(open_["top1_sensitive_rate"], 1.0)
    np.testing.assert_array_equal(open_["reliance"], 1.0)
    np.testing.assert_array_equal(open_["hidden_bias"], 0.0)
    assert (hidden["top1_sensitive_rate"] < 0.1).all()
    assert (hidden["reliance"] > 0.95).all()
    assert (hidden["hidden_bias"] > 0.85).all()


def test_what_it_needs_is_said(system, table_system):
    evaluator = SensitiveAttribution()
    assert "released explanations" in evaluator.supports(table_system)
    lime = LimeRelease(samples=50)
    assert "attribute 'g' among the categorical inputs" in evaluator.supports(lime.deploy(system))
    assert evaluator.supports(lime.deploy(table_system)) is None
    assert SensitiveAttribution.reads == {"forward", "explainer"}
