"""Rank agreement against scipy, ties and constants included; attributions of a known model."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from tests.unit.methods.explanations.test_lime_surrogate import with_categories
from trustbench.methods.explanations import agreement
from trustbench.methods.explanations.agreement import (
    Explained,
    by_gradient,
    by_lime,
    mean_over_points,
)
from trustbench.methods.explanations.lime_surrogate import Lime, Stream


def with_ties(seed, shape=(3, 7, 12)):
    """Integers from -2 to 2: most values stand in a tie."""
    return torch.as_tensor(np.random.default_rng(seed).integers(-2, 3, size=shape)).float()


def scipy_spearman(a, b):
    pairs = zip(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]), strict=True)
    found = [stats.spearmanr(x, y).statistic for x, y in pairs]
    return np.reshape(found, a.shape[:-1])


def test_spearman_is_scipys_with_ties():
    a, b = with_ties(0), with_ties(1)
    expected = scipy_spearman(a.numpy(), b.numpy())
    np.testing.assert_allclose(agreement.spearman(a, b).numpy(), expected, atol=1e-12)
    np.testing.assert_array_equal(agreement.ranks(a).numpy(), stats.rankdata(a.numpy(), axis=-1))


def ordinal(values):
    return values.argsort(-1).argsort(-1).double()


def least(values):
    return torch.as_tensor(stats.rankdata(values.numpy(), axis=-1, method="min")).double()


@pytest.mark.parametrize("wrong", [ordinal, least])
def test_the_comparison_sees_ties_ranked_wrongly(monkeypatch, wrong):
    monkeypatch.setattr(agreement, "ranks", wrong)
    a, b = with_ties(0), with_ties(1)
    expected = scipy_spearman(a.numpy(), b.numpy())
    assert np.abs(agreement.spearman(a, b).numpy() - expected).max() > 0.01


def test_a_constant_side_ranks_nothing():
    a, flat = with_ties(0), torch.full((3, 7, 12), 0.1)
    assert agreement.spearman(a, flat).isnan().all()
    assert agreement.top_overlap(a, flat, 3).isnan().all()
    assert agreement.spearman(a, -a).allclose(torch.tensor(-1.0, dtype=torch.float64))


def test_top_overlap_counts_what_both_name():
    a = torch.tensor([5.0, -4.0, 3.0, 0.2, 0.1])
    b = torch.tensor([-5.0, 0.1, 3.0, 4.0, 0.2])  # names 0, 3, 2
    assert agreement.top_overlap(a, b, 3).item() == pytest.approx(2 / 3)


def test_points_with_other_predictions_are_dropped():
    values, classes = with_ties(0, (2, 6, 5)), torch.zeros(2, 6, dtype=torch.int64)
    changed = classes.clone()
    changed[1, :4] = 1
    a, b = Explained(values, classes), Explained(values, changed)
    rho = a.spearman(b)
    assert rho[0].allclose(torch.ones(6, dtype=torch.float64))
    assert rho[1].isnan().tolist() == [True] * 4 + [False] * 2
    assert "different predictions at all but 2 of 6 points" in mean_over_points(rho)
    np.testing.assert_allclose(mean_over_points(a.spearman(a)), 1)


@pytest.fixture
def linear(system):
    """Two replicates with linear margins, on columns and one-hot blocks."""
    problem = with_categories(system.problem)
    weights = torch.tensor([[1.0, -2.0, 0.5, 3.0, -1.0, 4.0], [0.0, 1.0, 2.0, 0.0, 1.0, -3.0]])

    def forward(X):
        margin = (X * weights[:, None]).sum(-1)
        return torch.stack([torch.zeros_like(margin), margin], dim=-1)

    return dataclasses.replace(system, problem=problem, forward=forward, replicates=2), weights


def test_gradients_are_summed_over_the_columns_of_a_feature(linear):
    system, weights = linear
    x = system.tensor(system.problem.rows("test")[0][:9])
    mean = torch.as_tensor(system.problem.rows("train")[0].mean(axis=0))
    found = by_gradient(system, x, "gradient_x_input")
    sign = torch.where(found.classes == 1, 1.0, -1.0)[..., None]
    columns = sign * weights[:, None] * (x - mean)
    blocks = [columns[..., :1], columns[..., 1:2], columns[..., 2:5], columns[..., 5:]]
    expected = torch.cat([b.sum(-1, keepdim=True) for b in blocks], dim=-1)
    torch.testing.assert_close(found.values, expected)
    largest = by_gradient(system, x, "saliency").values
    torch.testing.assert_close(
        largest, torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 2.0, 3.0]])[:, None].expand(2, 9, 4)
    )


def test_lime_ranks_features_of_a_linear_model_as_its_gradients_do(linear):
    system, _ = linear
    x = system.tensor(system.problem.rows("test")[0][:9])
    lime = by_lime(system, x, Lime(samples=2000), Stream.PROBE)
    gradient = by_gradient(system, x, "gradient_x_input")
    assert (lime.classes == gradient.classes).all()
    assert lime.spearman(gradient).mean() > 0.97
