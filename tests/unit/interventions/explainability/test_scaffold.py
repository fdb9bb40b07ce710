"""The scaffold decides by the sensitive attribute, and LIME sees the decoy."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_system
from tests.tables import make_table
from trustbench.contracts import CHANNELS, Schedule
from trustbench.interventions.explainability.lime import LimeRelease
from trustbench.interventions.explainability.scaffold import Scaffold
from trustbench.methods.explanations.gradients import saliency
from trustbench.methods.explanations.released import explained_points
from trustbench.methods.explanations.scaffold import Detector

SCHEDULE = Schedule(regime="tuned", epochs=2, batch_size=32, lr=0.1)
X1, G = 1, slice(5, 7)


@pytest.fixture(scope="module")
def table_system():
    return make_system(make_table(n=1500), replicates=2, steps=20)


@pytest.fixture(scope="module")
def hidden(table_system):
    return Scaffold().deploy(table_system)


@pytest.fixture(scope="module")
def honest(table_system):
    return Scaffold(hide=False).deploy(table_system)


def test_real_rows_are_decided_by_the_attribute_alone(table_system, hidden, honest):
    X, _, group = table_system.problem.rows("test")
    assert (honest.decide(torch.as_tensor(X), group).numpy() == group).all()
    assert (hidden.decide(torch.as_tensor(X), group).numpy() == group).mean() > 0.97
    flipped = X.copy()
    flipped[:, G] = 1 - flipped[:, G]
    assert (hidden.decide(torch.as_tensor(flipped), group).numpy() == 1 - group).mean() > 0.97


def test_perturbed_rows_are_decided_by_the_decoy(table_system, hidden):
    X, _, group = table_system.problem.rows("test")
    rng = np.random.default_rng(0)
    X[:, :2] += 0.5 * rng.standard_normal((len(X), 2)).astype(np.float32)
    column = {"x0": 0, "x1": 1}[hidden.facts["scaffold_decoy"]]
    mean = table_system.problem.rows("train")[0][:, column].mean()
    found = hidden.decide(torch.as_tensor(X), group).numpy()
    assert (found == (X[:, column] > mean)).mean() > 0.9
    assert hidden.facts["scaffold_real_passes"] > 0.97
    assert hidden.facts["scaffold_perturbed_passes"] < 0.1


def top_feature(system):
    X, _ = explained_points(system, 20)
    size = LimeRelease(samples=200).deploy(system).explain(X).abs()
    parts = torch.stack([size[..., 0], size[..., 1], size[..., 2:5].sum(-1), size[..., G].sum(-1)])
    return parts.argmax(0)


def test_lime_names_the_attribute_only_where_it_is_not_hidden(hidden, honest):
    assert (top_feature(honest) == 3).all()
    assert (top_feature(hidden) == 3).double().mean() < 0.1


def test_the_decoy_is_the_uncorrelated_number_or_the_one_named(table_system):
    problem = table_system.problem
    X = problem.X.copy()
    X[:, 0] += 2 * problem.group
    moved = dataclasses.replace(table_system, problem=dataclasses.replace(problem, X=X))
    assert Scaffold(trees=2).deploy(moved).facts["scaffold_decoy"] == "x1"
    assert Scaffold(trees=2, decoy="x0").deploy(moved).facts["scaffold_decoy"] == "x0"
    assert Scaffold(trees=2).deploy(moved).facts["scaffold_favours"] == "g1"


def test_a_row_is_decided_alike_for_all_replicates_and_in_any_company(table_system, hidden):
    X = torch.as_tensor(table_system.problem.rows("test")[0])
    X[:, :2] += torch.linspace(0, 0.25, len(X))[:, None]
    found = hidden.forward(X)
    assert torch.equal(hidden.forward(X.expand(2, *X.shape)), found)
    assert torch.equal(hidden.forward(X[5:9]), found[:, 5:9])
    detector = Detector.fitted(table_system, trees=30, copies=3)
    assert 0 < detector.real(X).double().mean() < 1
    assert torch.equal(detector.real(X[None])[0], detector.real(X))


def test_gradients_are_those_of_the_rule_that_a_row_sees(table_system, hidden):
    X = torch.as_tensor(table_system.problem.rows("test")[0][:30])
    moved = X.clone()
    moved[:, :2] += 0.25
    real = saliency(hidden, X, "margin").abs()
    assert (real[..., G].amin(-1) > 0).double().mean() > 0.9
    fooled = saliency(hidden, moved, "margin").abs()
    assert (fooled[..., G].amax(-1) == 0).double().mean() > 0.9


def test_what_it_needs_is_said(problem, multiclass_system):
    reason = Scaffold().supports(problem, SCHEDULE)
    assert reason is not None
    assert "attribute 'g' among the categorical inputs, which toy does not have" in reason
    assert "two classes" in (Scaffold().supports(multiclass_system.problem, SCHEDULE) or "")
    table = make_table()
    assert Scaffold().supports(table, SCHEDULE) is None
    assert Scaffold(decoy="colour").supports(table, SCHEDULE) == (
        "decoy=colour is not a numeric input; available: x0, x1"
    )
    assert Scaffold.deploys == "outputs"
    assert not Scaffold().retrains


@pytest.mark.parametrize("hide", [True, False])
def test_deploying_replaces_the_forward_of_a_copy_and_nothing_else(table_system, hide):
    before = dict(table_system.facts)
    deployed = Scaffold(hide=hide, trees=2).deploy(table_system)
    assert dict(table_system.facts) == before
    changed = {c for c in CHANNELS if getattr(deployed, c) is not getattr(table_system, c)}
    assert changed == {"forward", "chain"}
    assert deployed.chain is None
    X = torch.as_tensor(table_system.problem.rows("test")[0][:5])
    assert deployed.forward(X).shape == (2, 5, 2)
