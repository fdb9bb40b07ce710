"""Perturbations stay plausible, and coefficients, columns and parts translate."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.contracts import Feature
from trustbench.methods.explanations.display import named_values
from trustbench.methods.explanations.gradients import _spread
from trustbench.methods.explanations.neighbourhoods import neighbourhood


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
    _, _, draws = drawn(mixed)
    hot = draws.Z[0, :, :, 2:5]
    assert set(hot.unique().tolist()) == {0.0, 1.0}
    assert (hot.sum(-1) == 1).all()
    np.testing.assert_allclose(hot[0].mean(0), [0.6, 0.3, 0.1], atol=0.04)
    assert draws.Z[0, 0, :, 5].mean().item() == pytest.approx(0.25, abs=0.04)
    job, sex = hot[0, :, 0], draws.Z[0, 0, :, 5]
    assert abs(np.corrcoef(job, sex)[0, 1]) < 0.05  # drawn independently


def test_numbers_get_the_declared_noise(mixed):
    _, X, draws = drawn(mixed)
    step = (draws.Z - X[:, :, None])[0, :, :, :2]
    np.testing.assert_allclose(step.std(dim=1), 0.5, atol=0.03)
    wider = drawn(mixed, sigma=1.25)[2]
    np.testing.assert_allclose(wider.design[0, 0, :, :2].std(0), 1.25, atol=0.06)


def test_the_design_is_the_displacement_and_weights_fall_with_it(mixed):
    _, X, draws = drawn(mixed)
    away = (draws.Z - X[:, :, None]).double()
    torch.testing.assert_close(draws.design.expand(away.shape), away, atol=1e-6, rtol=0)
    width = 0.75 * 6**0.5
    expected = torch.exp(-away.square().sum(-1) / (2 * width**2))
    torch.testing.assert_close(draws.weights, expected, atol=1e-6, rtol=0)


def test_rows_share_the_design_where_all_is_numeric(problem):
    _, X, draws = drawn(problem, samples=50)
    assert draws.design.shape == (1, 1, 50, 6)
    away = (draws.Z - X[:, :, None]).double()
    torch.testing.assert_close(draws.design.expand(away.shape), away, atol=1e-6, rtol=0)


def test_pixel_noise_follows_the_value_range():
    problem = make_problem(n=100, d=4)
    features = tuple(Feature(f"p{j}", "pixel", (j,), 0.0, 2.0) for j in range(4))
    _, _, draws = drawn(dataclasses.replace(problem, features=features))
    np.testing.assert_allclose(draws.design[0, 0].std(0), 0.3, atol=0.02)


def test_attributions_return_to_the_coefficients_they_came_from(mixed, images):
    for problem in (mixed, images):
        area, _, draws = drawn(problem, samples=2)
        p = draws.design.shape[-1]
        coefficients = torch.randn(2, 3, p, dtype=torch.float64)
        spread = area.spread(coefficients)
        assert spread.shape == (2, 3, problem.n_features)
        torch.testing.assert_close(area.collect(spread), coefficients)


def test_effects_are_slopes_times_distance_summed_over_a_feature(mixed):
    area, X, _ = drawn(mixed, samples=2)
    slopes = torch.tensor([2.0, 2.0, 1.0, 10.0, 100.0, 3.0], dtype=torch.float64)
    effects = area.effects(slopes.expand(1, 3, 6), X)
    away = (X[0] - torch.as_tensor(mixed.rows("train")[0].mean(axis=0))).double() * slopes
    expected = torch.stack([away[:, 0], away[:, 1], away[:, 2:5].sum(-1), away[:, 5]], dim=-1)
    torch.testing.assert_close(effects[0], expected)


def test_switching_off_a_feature_moves_all_of_its_columns(mixed):
    area, X, _ = drawn(mixed, samples=2)
    off = torch.zeros(1, 3, 4, dtype=torch.bool)
    off[..., 2] = True
    moved = area.switch_off(X, off)
    torch.testing.assert_close(moved[0, 0, 2:5], area.baseline[2:5])
    assert torch.equal(moved[..., [0, 1, 5]], X[..., [0, 1, 5]])


def test_images_are_cut_into_at_most_eight_by_eight_patches(images):
    area, X, draws = drawn(images)
    assert area.parts == 5 * 6  # sides of 10 and 12 in squares of 2
    grid = area.part.reshape(3, 10, 12)
    assert torch.equal(grid[0], grid[2])
    assert (torch.bincount(area.part) == 3 * 4).all()
    assert grid[0, 1, 1] == 0
    assert grid[0, 9, 11] == 29
    assert draws.design.mean().item() == pytest.approx(0.5, abs=0.01)
    keep = draws.design[0, 0, 7, area.part] == 1
    assert torch.equal(draws.Z[0, 1, 7, keep], X[0, 1, keep])
    assert torch.equal(draws.Z[0, 1, 7, ~keep], area.baseline[~keep])
    coefficients = torch.randn(1, 3, 30)
    assert area.effects(coefficients, X) is coefficients


def test_eight_by_eight_images_are_described_by_their_pixels():
    problem = make_problem(n=100, d=64)
    features = tuple(Feature(f"p{j}", "pixel", (j,), 0.0, 1.0) for j in range(64))
    problem = dataclasses.replace(problem, X=problem.X.reshape(-1, 1, 8, 8), features=features)
    assert drawn(problem, samples=2)[2].design.shape == (1, 1, 2, 64)


def test_an_embedding_is_replaced_as_a_whole(mixed):
    features = (
        *mixed.features[:2],
        Feature("note", "embedding", (2, 3, 4, 5), -9.0, 9.0, scale=0.0),
    )
    problem = dataclasses.replace(mixed, X=make_problem(n=4000).X, features=features)
    area, _, draws = drawn(problem, samples=200)
    pool = {row.tobytes() for row in problem.rows("train")[0][:, 2:]}
    notes = draws.Z[0, 0, :, 2:].numpy()
    assert all(note.tobytes() in pool for note in notes)
    assert len({note.tobytes() for note in notes}) > 100
    assert area.parts == 3
    assert _spread(make_system(problem, steps=0), 0.5) == [0.5, 0.5, 0.0, 0.0, 0.0, 0.0]
    assert named_values(problem, problem.X[:1])[0][2] == "4 numbers"
