"""Rows and attributions as people look at them."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from tests.tables import make_table
from trustbench.contracts import Feature
from trustbench.interventions.explainability.kernel_shap import KernelShapRelease
from trustbench.interventions.explainability.lime import LimeRelease
from trustbench.interventions.explainability.saliency import SaliencyRelease
from trustbench.methods.explanations import display


def pixels(problem, shape, high=2.0):
    """The problem with its columns as pixels of inputs of a shape."""
    features = tuple(Feature(f"p{j}", "pixel", (j,), 0.0, high) for j in range(problem.n_features))
    return dataclasses.replace(problem, X=problem.X.reshape(-1, *shape), features=features)


@pytest.mark.parametrize(
    ("d", "shape", "grid"),
    [(4, (4,), (1, 2, 2)), (6, (6,), None), (12, (3, 2, 2), (3, 2, 2)), (6, (1, 2, 3), (1, 2, 3))],
)
def test_pixels_make_a_picture_where_they_fill_one(d, shape, grid):
    assert display.grid(pixels(make_problem(n=200, d=d), shape)) == grid


def test_a_table_is_no_picture():
    assert display.grid(make_table()) is None
    assert display.grid(make_problem(n=200, d=4)) is None  # four numbers, not four pixels


def test_pictures_run_from_the_least_value_to_the_largest():
    problem = pixels(make_problem(n=200, d=12), (3, 2, 2))
    X = np.array([0.0, 1.0, 2.0, 5.0] + [0.0] * 4 + [2.0] * 4, dtype=np.float32)
    (picture,) = display.pictures(problem, X.reshape(1, 3, 2, 2), (3, 2, 2))
    assert picture.shape == (2, 2, 3)
    assert picture.dtype == np.uint8
    assert picture[..., 0].tolist() == [[0, 128], [255, 255]]
    assert picture[..., 1].tolist() == [[0, 0], [0, 0]]
    assert picture[..., 2].tolist() == [[255, 255], [255, 255]]


def test_values_name_the_category_of_a_block():
    X = np.array([[0.5, -1.25, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 1, 0]], dtype=np.float32)
    assert display.named_values(make_table(), X) == [
        ["+0.50", "-1.25", "g", "g1"],
        ["+0.00", "+0.00", "no level", "g0"],
    ]


def test_the_columns_of_a_block_are_one_effect_and_colours_one_pixel():
    columns = np.arange(7.0)[None]
    assert display.per_place(make_table(), columns).tolist() == [[0, 1, 2 + 3 + 4, 5 + 6]]
    colour = pixels(make_problem(n=200, d=12), (3, 2, 2))
    assert display.per_place(colour, np.arange(12.0)[None]).tolist() == [[12, 15, 18, 21]]


def test_what_is_released_becomes_effects_over_the_pools_mean():
    system = make_system(make_table())
    X = system.tensor(system.problem.rows("test")[0][:3])
    mean = torch.as_tensor(system.problem.rows("train")[0].mean(axis=0))
    slopes = SaliencyRelease(target="margin").deploy(system)
    torch.testing.assert_close(display.released(slopes, X), slopes.explain(X) * (X - mean))
    torch.testing.assert_close(display.released(slopes, X), display.by_gradient(system, X))
    lime = LimeRelease(samples=200).deploy(system)  # which does not say what it releases
    torch.testing.assert_close(display.released(lime, X), lime.explain(X) * (X - mean))
    values = KernelShapRelease().deploy(system)
    torch.testing.assert_close(display.released(values, X), values.explain(X))


def test_predictions_are_those_of_one_replicate():
    system = make_system(make_problem())
    X = system.tensor(system.problem.rows("test")[0][:5])
    classes, probability = display.predictions(system, X, 2)
    both = system.logits(X)[2].softmax(-1).numpy()
    assert classes.tolist() == both.argmax(1).tolist()
    np.testing.assert_allclose(probability, both.max(1), rtol=1e-5)
