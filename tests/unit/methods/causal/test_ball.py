"""Perturbations of a causal model against closed forms, and the indicator against enumeration."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_system
from tests.tables import make_table
from tests.unit.methods.causal.test_graph import GRAPH, TRUE, rows
from trustbench.contracts import Streams
from trustbench.datasets.silobank import SiloBank
from trustbench.evaluators.fairness.individual_fairness import IndividualFairness
from trustbench.evaluators.fairness.unfair_area import UnfairArea
from trustbench.methods.causal.ball import in_unit_ball, search
from trustbench.methods.causal.graph import GraphModel, Variable
from trustbench.methods.causal.thresholds import THRESHOLDS, best_threshold

W = np.array([0.3, -0.3, 0.2, 0.8, 0.6])  # of sex (two columns), age, pay and schooling
FREE = [2, 3, 4]


@pytest.fixture(scope="module")
def linear():
    X, _ = rows()
    made = GraphModel(GRAPH, TRUE, ("sex",), X.astype(float), exact=True)
    return dataclasses.replace(made, noise=made.latent(X))


def margins(X):
    return torch.as_tensor(X @ W)[None]


def exact(scm, X, radius, jacobian):
    """Whose decision changes: some twin decides otherwise, or lies within reach of the boundary."""
    reach = radius * np.linalg.norm((jacobian.T @ W)[FREE])
    Q, own, changed = scm.latent(X), X @ W > 0, np.zeros(len(X), bool)
    for level in scm.levels():
        Q[:, :2] = level
        at = scm.from_latent(Q) @ W
        changed |= ((at > 0) != own) | (np.abs(at) <= reach)
    return changed


def test_the_unfair_area_of_a_linear_model_is_its_closed_form(linear):
    X = linear.sample(1000, np.random.default_rng(1))
    jacobian = np.stack([linear.from_latent(q[None])[0] for q in np.eye(5)], axis=1)
    jacobian -= linear.from_latent(np.zeros((1, 5)))[0][:, None]
    limits = torch.zeros(1, 1, dtype=torch.float64)
    for radius in (0.3, 0.2):
        rng = np.random.default_rng(0)
        found = search(margins, linear, X, radius, 2000, rng, limits).changed(margins(X))[0].numpy()
        truth = exact(linear, X, radius, jacobian)
        assert not (found & ~truth).any(), "draws never leave the ball"
        assert (truth & ~found).mean() < 0.02
        planted = exact(linear, X, radius, np.eye(5))  # as if causes had no effects
        assert (truth != planted).mean() > 0.025


def test_few_draws_are_repeated_where_they_matter(linear):
    """The second stage finds what all draws for all people find."""
    X, limits = linear.sample(800, np.random.default_rng(2)), torch.zeros(1, 1).double()
    staged = search(margins, linear, X, 0.2, 1000, np.random.default_rng(0), limits)
    first = search(margins, linear, X, 0.2, 10, np.random.default_rng(0), limits)
    counts = [int(each.changed(margins(X)).sum()) for each in (first, staged)]
    assert counts[1] > counts[0]


def test_without_twins_every_column_moves_and_nobody_changes_sex(linear):
    X, limits = linear.sample(800, np.random.default_rng(3)), torch.zeros(1, 1).double()
    rng = np.random.default_rng(0)
    found = search(margins, linear, X, 0.0, 1, rng, limits, among_twins=False)
    assert not found.changed(margins(X)).any()
    near = search(margins, linear, X, 0.1, 2000, rng, limits, among_twins=False)
    share = near.changed(margins(X)).double().mean()
    assert (
        0
        < share
        < search(margins, linear, X, 0.1, 2000, rng, limits).changed(margins(X)).double().mean()
    )


def test_points_are_uniform_in_the_ball():
    rng = np.random.default_rng(0)
    ball = in_unit_ball(rng.normal(size=(40_000, 3)), rng.random(40_000))
    radius = np.linalg.norm(ball, axis=1)
    assert radius.max() <= 1
    assert radius.mean() == pytest.approx(3 / 4, abs=0.005)  # not 1/2, as a uniform radius gives
    np.testing.assert_allclose(ball.mean(0), 0, atol=0.01)


def values(measured, name):
    return next(m.values for m in measured.measurements if m.name == name)


def test_silobanks_counterfactual_unfairness_is_counted_by_enumeration(tmp_path):
    bank = SiloBank().load(tmp_path, Streams(0))
    system = make_system(bank, replicates=2, steps=60)
    found = UnfairArea(points=3000, draws=2).measure(system)
    X, _, group = bank.rows("test")
    there = np.where((group == 0)[:, None], *(bank.scm.counterfactual(X, t) for t in (1, 0)))
    here, other = (system.logits(torch.as_tensor(x)).argmax(-1) for x in (X, there))
    truth = (here != other).double().mean(1).numpy()
    np.testing.assert_allclose(values(found, "counterfactual_unfairness"), truth, atol=1e-3)
    assert truth.min() > 0.02
    for prefix in ("", "sampled_", "published_"):
        names = (f"{prefix}{n}" for n in ("uai_05", "uai_01", "counterfactual_unfairness"))
        wide, close, twin = (values(found, n) for n in names)
        assert (wide >= close).all()
        assert (close >= twin).all()


def test_an_attribute_without_effects_leaves_the_flip_rate():
    table = make_table()
    places = {f.name: f.columns for f in table.features}
    variables = tuple(Variable(name, columns) for name, columns in places.items())
    scm = GraphModel(variables, {}, ("g",), table.rows("train")[0].astype(float))
    system = make_system(dataclasses.replace(table, scm=scm))
    area, flips = UnfairArea(draws=1).measure(system), IndividualFairness().measure(system)
    assert values(flips, "flip_rate").min() > 0
    np.testing.assert_array_equal(
        values(area, "counterfactual_unfairness"), values(flips, "flip_rate")
    )


def test_a_system_without_a_causal_model_is_told_where_to_find_one(system):
    assert "dataset.causal=true" in UnfairArea().supports(system)


def test_the_published_threshold_is_that_of_scikit_learns_correlation():
    from sklearn.metrics import matthews_corrcoef

    rng = np.random.default_rng(0)
    y = rng.integers(2, size=400)
    p = 1 / (1 + np.exp(-(y - 1.2 + rng.normal(size=400))))
    truth = [matthews_corrcoef(y, p >= t) for t in THRESHOLDS]
    assert best_threshold(y, p) == THRESHOLDS[int(np.argmax(truth))] != 0.5
