"""Deletion faithfulness: exact on a linear model, nothing for random attributions."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.methods.explanations.deletion import deletion
from trustbench.methods.explanations.neighbourhoods import neighbourhood

WEIGHTS = np.array([1.0, -2.0, 0.5, 0.25, 0.0, 3.0], dtype=np.float32)


@pytest.fixture(scope="module")
def linear():
    problem = make_problem()

    def forward(X):
        margin = (X @ torch.as_tensor(WEIGHTS))[..., None]
        both = torch.cat([torch.zeros_like(margin), margin], dim=-1)
        return both.expand(2, *both.shape[-2:])

    return dataclasses.replace(make_system(problem, 2, steps=1), forward=forward)


def faith(system, X, effects, share=0.2, draws=20):
    area, rng = neighbourhood(system.problem), np.random.default_rng(0)
    return deletion(system, area, X, effects, share=share, draws=draws, rng=rng)


def probability(margin):
    return 1 / (1 + np.exp(-margin))


def test_it_is_the_difference_of_probabilities_by_hand(linear):
    X = linear.problem.rows("test")[0][:3]
    mean = linear.problem.rows("train")[0].mean(axis=0)
    sign = np.where(X @ WEIGHTS > 0, 1, -1)[:, None]
    effects = sign * WEIGHTS * (X - mean)
    # All units but one are taken away at random: every choice leaves one of six.
    found = faith(linear, torch.as_tensor(X), torch.as_tensor(effects)[None].expand(2, 3, 6), 0.8)
    for i in range(3):
        start = probability(abs(X[i] @ WEIGHTS))
        kept = effects[i].argmin()
        off = np.where(np.arange(6) == kept, X[i], mean)
        named = probability(sign[i, 0] * (off @ WEIGHTS))
        each = [
            probability(sign[i, 0] * (np.where(np.arange(6) == j, X[i], mean) @ WEIGHTS))
            for j in range(6)
        ]
        low, high = (min(each) - named) / start, (max(each) - named) / start
        assert low - 1e-6 <= found[0, i].item() <= high + 1e-6
        assert found[0, i].item() == pytest.approx((np.mean(each) - named) / start, abs=0.25)


def test_true_effects_score_high_and_reversed_ones_negative(linear):
    X = torch.as_tensor(linear.problem.rows("test")[0])
    mean = torch.as_tensor(linear.problem.rows("train")[0].mean(axis=0))
    sign = torch.where(linear.logits(X).argmax(-1) == 1, 1.0, -1.0)[..., None]
    effects = sign * torch.as_tensor(WEIGHTS) * (X - mean)
    assert faith(linear, X, effects).mean() > 0.1
    assert faith(linear, X, -effects).mean() < -0.02


def test_random_attributions_score_nothing(linear):
    X = torch.as_tensor(linear.problem.rows("test")[0])
    g = torch.Generator().manual_seed(0)
    scores = [
        faith(linear, X, torch.rand(2, len(X), 6, generator=g), draws=5).mean().item()
        for _ in range(10)
    ]
    assert abs(np.mean(scores)) < 3 * np.std(scores) / np.sqrt(10) + 1e-3
