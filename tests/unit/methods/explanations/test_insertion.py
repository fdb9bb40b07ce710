"""Insertion is exact on a linear model, and a random explanation gains nothing."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.methods.explanations.insertion import insertion
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


def by_hand(x, mean, effects, kept, wrong=None):
    """The definition, one row, with every random choice instead of a few."""
    sign = 1 if x @ WEIGHTS > 0 else -1

    def p(chosen):
        row = np.where(np.isin(np.arange(6), list(chosen)), x, mean)
        return 1 / (1 + np.exp(-sign * (row @ WEIGHTS)))

    order = np.argsort(effects if wrong == "reversed" else -effects)
    named = p(order[: kept + (wrong == "one more")])
    random = np.mean([p(c) for c in combinations(range(6), kept)])
    return (named - random) / (1 if wrong == "absolute" else p(range(6)))


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("wrong", [None, "reversed", "one more", "absolute"])
def test_it_is_the_definition_by_hand(linear, share, wrong):
    X = linear.problem.rows("test")[0][:12]
    mean = linear.problem.rows("train")[0].mean(axis=0)
    effects = np.where(X @ WEIGHTS > 0, 1, -1)[:, None] * WEIGHTS * (X - mean)
    kept = int(np.ceil(share * 6))
    expected = [by_hand(x, mean, e, kept, wrong) for x, e in zip(X, effects, strict=True)]
    found = insertion(
        linear,
        neighbourhood(linear.problem),
        torch.as_tensor(X),
        torch.as_tensor(effects)[None].expand(2, -1, -1),
        share=share,
        draws=2000,
        rng=np.random.default_rng(0),
    )
    same = np.allclose(found[0], expected, atol=0.02)
    assert same == (wrong is None)


def test_keeping_everything_gains_nothing(linear):
    X = torch.as_tensor(linear.problem.rows("test")[0][:5])
    effects, rng = torch.randn(2, 5, 6), np.random.default_rng(0)
    area = neighbourhood(linear.problem)
    found = insertion(linear, area, X, effects, share=0.99, draws=2, rng=rng)
    torch.testing.assert_close(found, torch.zeros_like(found))
