"""Perturbations stay plausible, and units and columns translate both ways."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem
from trustbench.contracts import Feature
from trustbench.explanations.neighbourhoods import neighbourhood


@pytest.fixture
def mixed():
    """Columns 0-1 numeric, 2-4 one-hot with shares .6 .3 .1, 5 binary."""
    problem = make_problem(n=4000)
    rng = np.random.default_rng(3)
    X = problem.X.copy()
    X[:, 2:5] = np.eye(3, dtype=np.float32)[rng.choice(3, p=[0.6, 0.3, 0.1], size=len(X))]
    X[:, 5] = rng.random(len(X)) < 0.25
    features = (
        *problem.features[:2],
        Feature("job", "categorical", (2, 3, 4), 0.0, 1.0, levels=("a", "b", "c")),
        Feature("sex", "categorical", (5,), 0.0, 1.0, levels=("f", "m")),
    )
    return dataclasses.replace(problem, X=X, features=features)


@pytest.fixture
def images():
    problem = make_problem(n=100, d=3 * 10 * 12)
    features = tuple(Feature(f"p{j}", "pixel", (j,), 0.0, 1.0) for j in range(360))
    return dataclasses.replace(problem, X=problem.X.reshape(-1, 3, 10, 12), features=features)


def drawn(problem, samples=4000, n=3, sigma=0.0):
    area = neighbourhood(problem, sigma)
    X = torch.as_tensor(problem.rows("test")[0][:n]).reshape(1, n, -1)
    return area, X, area.around(X, area.noise(samples, np.random.default_rng(0)))


def test_categories_are_resampled_from_the_pool_and_stay_one_hot(mixed):
    _, X, draws = drawn(mixed)
    hot = draws.Z[0, :, :, 2:5]
    assert set(hot.unique().tolist()) == {0.0, 1.0}
    assert (hot.sum(-1) == 1).all()
    np.testing.assert_allclose(hot[0].mean(0), [0.6, 0.3, 0.1], atol=0.04)
    assert draws.Z[0, 0, :, 5].mean().item() == pytest.approx(0.25, abs=0.04)
    kept = (hot == X[0, :, None, 2:5]).all(-1)
    assert torch.equal(draws.design[0, :, :, 2], kept.double())


def test_numbers_get_the_declared_noise(mixed):
    _, X, draws = drawn(mixed)
    step = (draws.Z - X[:, :, None])[0, :, :, :2]
    torch.testing.assert_close(step.double(), draws.design[0, :, :, :2], atol=1e-6, rtol=0)
    np.testing.assert_allclose(step.std(dim=1), 0.5, atol=0.03)
    wider = drawn(mixed, sigma=1.25)[2]
    np.testing.assert_allclose(wider.design[0, 0, :, :2].std(0), 1.25, atol=0.06)


def test_pixel_noise_follows_the_value_range():
    problem = make_problem(n=100, d=4)
    features = tuple(Feature(f"p{j}", "pixel", (j,), 0.0, 2.0) for j in range(4))
    _, _, draws = drawn(dataclasses.replace(problem, features=features))
    np.testing.assert_allclose(draws.design[0, 0].std(0), 0.3, atol=0.02)


def test_a_kept_level_keeps_the_fractions_an_attack_made(mixed):
    area = neighbourhood(mixed)
    X = torch.as_tensor(mixed.rows("test")[0][:1]).reshape(1, 1, -1).clone()
    X[..., 2:5] = torch.tensor([0.8, 0.1, 0.05])
    draws = area.around(X, area.noise(200, np.random.default_rng(0)))
    kept = draws.design[0, 0, :, 2] == 1
    assert kept.any()
    assert (draws.Z[0, 0, kept][:, 2:5] == torch.tensor([0.8, 0.1, 0.05])).all()
    assert (draws.Z[0, 0, ~kept][:, 2:5].sum(-1) == 1).all()


def test_attributions_return_to_the_units_they_came_from(mixed, images):
    for problem in (mixed, images):
        area, X, _ = drawn(problem, samples=2)
        coefficients = torch.randn(2, 3, area.p, dtype=torch.float64)
        spread = area.spread(coefficients, X)
        assert spread.shape == (2, 3, problem.n_features)
        torch.testing.assert_close(area.collect(spread), coefficients)


def test_a_category_is_credited_to_the_column_of_its_level(mixed):
    area, X, _ = drawn(mixed, samples=2)
    spread = area.spread(torch.ones(1, 3, 4, dtype=torch.float64), X)
    assert torch.equal(spread[0, :, 2:5], X[0, :, 2:5].double())


def test_effects_are_slopes_times_distance_or_coefficients(mixed):
    area, X, _ = drawn(mixed, samples=2)
    effects = area.effects(torch.full((1, 3, 4), 2.0, dtype=torch.float64), X)
    mean = torch.as_tensor(mixed.rows("train")[0].mean(axis=0))
    torch.testing.assert_close(effects[..., :2], 2 * (X - mean)[..., :2].double())
    assert (effects[..., 2:] == 2).all()


def test_switching_off_a_unit_moves_all_of_its_columns(mixed):
    area, X, _ = drawn(mixed, samples=2)
    off = torch.zeros(1, 3, 4, dtype=torch.bool)
    off[..., 2] = True
    moved = area.switch_off(X, off)
    torch.testing.assert_close(moved[0, 0, 2:5], area.baseline[2:5])
    assert torch.equal(moved[..., [0, 1, 5]], X[..., [0, 1, 5]])


def test_images_are_cut_into_at_most_eight_by_eight_patches(images):
    area, X, draws = drawn(images)
    assert area.p == 5 * 6  # sides of 10 and 12 in squares of 2
    grid = area.unit.reshape(3, 10, 12)
    assert torch.equal(grid[0], grid[2])
    assert (torch.bincount(area.unit) == 3 * 4).all()
    assert grid[0, 1, 1] == 0
    assert grid[0, 9, 11] == 29
    assert draws.design.mean().item() == pytest.approx(0.5, abs=0.01)
    keep = draws.design[0, 0, 7, area.unit] == 1
    assert torch.equal(draws.Z[0, 1, 7, keep], X[0, 1, keep])
    assert torch.equal(draws.Z[0, 1, 7, ~keep], area.baseline[~keep])


def test_eight_by_eight_images_are_described_by_their_pixels():
    problem = make_problem(n=100, d=64)
    features = tuple(Feature(f"p{j}", "pixel", (j,), 0.0, 1.0) for j in range(64))
    problem = dataclasses.replace(problem, X=problem.X.reshape(-1, 1, 8, 8), features=features)
    assert neighbourhood(problem).p == 64
