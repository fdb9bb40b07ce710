"""Rates of known explanations and known models; scaffolding hides what the honest twin shows."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_system
from tests.tables import make_table
from trustbench.evaluators.fairness.sensitive_attribution import SensitiveAttribution
from trustbench.interventions.explainability.lime import LimeRelease
from trustbench.interventions.explainability.scaffold import Scaffold
from trustbench.methods.explanations.released import release

NAMES = ["hidden_bias", "top1_sensitive_rate", "top3_sensitive_rate", "reliance"]


@pytest.fixture(scope="module")
def table_system():
    return make_system(make_table(n=1500), replicates=2, steps=60)


def measured(system, **fields):
    return {m.name: m.values for m in SensitiveAttribution(**fields).measure(system).measurements}


def explained_by(system, attributions):
    """Every row gets the contributions [d]."""
    vector = torch.tensor(attributions)

    def explain(X, repeat):
        return vector.expand(system.replicates, len(X), 7)

    return release(system, explain, "contributions")


@pytest.mark.parametrize(
    ("attributions", "top1", "top3"),
    [
        ([0.1, 0.2, 0.0, 0.0, 0.0, 0.0, -0.5], 1, 1),
        ([0.9, 0.2, 0.0, 0.0, 0.0, 0.5, 0.5], 1, 1),  # 1.0 in two columns
        ([0.9, 0.2, 0.1, 0.0, 0.0, 0.5, -0.5], 0, 0),  # which take each other back
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


@pytest.mark.parametrize("wrong", [None, "sum of sizes", "largest column", "no baseline"])
def test_ranks_of_slopes_are_those_of_effects_by_brute_force(table_system, wrong):
    problem = table_system.problem
    slopes = torch.randn(2, 40, 7, generator=torch.Generator().manual_seed(0))
    system = dataclasses.replace(table_system, explainer=lambda X, k: slopes, facts={})
    measured_ranks = SensitiveAttribution(points=40).measure(system).arrays
    X = problem.rows("test")[0][measured_ranks["rows"]]
    mean = 0 if wrong == "no baseline" else problem.rows("train")[0].mean(axis=0)
    terms = slopes.numpy() * (X - mean)
    rule = {
        "sum of sizes": lambda v: np.abs(v).sum(-1),
        "largest column": lambda v: np.abs(v).max(-1),
    }.get(wrong, lambda v: np.abs(v.sum(-1)))
    sizes = np.stack([rule(terms[..., list(f.columns)]) for f in problem.features], axis=-1)
    above = (np.argsort(-sizes, axis=-1) == 3).argmax(axis=-1)
    assert np.array_equal(measured_ranks["features_above"], above) == (wrong is None)


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
