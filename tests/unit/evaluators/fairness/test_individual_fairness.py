"""Flips against a loop over people, the analytic answer of linear models, and deciders."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.contracts import Feature
from trustbench.evaluators.fairness.individual_fairness import IndividualFairness


def with_attribute(groups=3, values=None, n=900):
    """The toy problem with a one-hot block of the group (or of finer values) as first columns."""
    problem = make_problem(n=n, groups=groups, shift=0.6)
    value = problem.group if values is None else values(problem)
    k = int(value.max()) + 1
    block = np.eye(k, dtype=np.float32)[value]
    shifted = tuple(dataclasses.replace(f, columns=(f.columns[0] + k,)) for f in problem.features)
    own = Feature("g", "categorical", tuple(range(k)), 0.0, 1.0, mutable=False, scale=0.0)
    return dataclasses.replace(
        problem, X=np.concatenate([block, problem.X], axis=1), features=(own, *shifted)
    )


@pytest.fixture(scope="module")
def system():
    return make_system(with_attribute(), 2)


def rate(system, **kwargs):
    (found,) = IndividualFairness(**kwargs).measure(system).measurements
    assert found.name == "flip_rate"
    return found.values


def by_loop(system, *, only_first=False, keep_old=False):
    """One person and one value at a time; the arguments plant errors."""
    X, _, group = system.problem.rows("test")
    flips = np.zeros((system.replicates, len(X)), dtype=bool)
    for i, x in enumerate(X):
        own = system.decide(torch.as_tensor(x[None]), group[i : i + 1])[:, 0].numpy()
        for value in range(1 if only_first else 3):
            other = x.copy()
            if not keep_old:
                other[:3] = 0
            other[value] = 1
            decided = system.decide(torch.as_tensor(other[None]), np.array([value]))[:, 0].numpy()
            flips[:, i] |= decided != own
    return flips.mean(axis=1)


def test_flips_are_those_of_a_loop_over_people(system):
    np.testing.assert_allclose(rate(system), by_loop(system))
    assert (rate(system) > 0.01).all()
    for error in ({"only_first": True}, {"keep_old": True}):
        assert not np.allclose(rate(system), by_loop(system, **error))


def test_a_linear_model_flips_within_its_largest_step(system):
    g = torch.Generator().manual_seed(0)
    w = torch.randn(2, 9, generator=g)

    def forward(x):
        score = torch.einsum("rnd,rd->rn", x.expand(2, *x.shape[-2:]), w)
        return torch.stack([torch.zeros_like(score), score], dim=-1)

    X = torch.as_tensor(system.problem.rows("test")[0])
    rest = X[:, 3:] @ w[:, 3:].T  # [n, R]
    # decisions differ somewhere iff the score changes sign between the lowest and highest value
    signs = (rest + w[:, :3].amin(1) > 0) != (rest + w[:, :3].amax(1) > 0)
    found = rate(dataclasses.replace(system, forward=forward))
    np.testing.assert_allclose(found, signs.double().mean(0))
    blind = dataclasses.replace(system, forward=lambda x: forward(x) * 0 + forward(x[..., :] * cut))
    cut = torch.ones(9)
    cut[:3] = 0
    assert rate(blind).tolist() == [0, 0]


def test_a_decider_is_told_the_group_of_the_new_value(system):
    def decide(X, group):
        return torch.as_tensor(group == 2).long().expand(2, -1)

    deciding = dataclasses.replace(system, decider=decide)
    assert rate(deciding).tolist() == [1, 1]
    # without the attribute among the inputs a decider may still read the group
    plain = make_system(make_problem(n=300, groups=3), 2, steps=5)
    assert "no categorical input of toy is named g" in IndividualFairness().supports(plain)
    told = dataclasses.replace(plain, decider=decide)
    assert IndividualFairness().supports(told) is None
    assert rate(told).tolist() == [1, 1]
    ignoring = dataclasses.replace(plain, decider=lambda X, group: plain.forward(X).argmax(-1))
    assert rate(ignoring).tolist() == [0, 0]


def test_finer_values_than_groups_bring_their_own_group():
    """Values 0..3 of which 2 and 3 make up the last group; a decider sees groups only."""
    problem = with_attribute(values=lambda p: p.group + (p.group == 2) * (p.y == 1))
    system = make_system(problem, 2, steps=5)
    seen = set()

    def decide(X, group):
        value = X[..., :4].argmax(-1).numpy().ravel()
        seen.update(zip(value.tolist(), np.asarray(group).tolist(), strict=True))
        return torch.zeros(2, len(group), dtype=torch.int64)

    IndividualFairness().measure(dataclasses.replace(system, decider=decide))
    assert seen == {(0, 0), (1, 1), (2, 2), (3, 2)}


def test_a_value_of_two_groups_is_a_reason():
    problem = with_attribute(values=lambda p: np.minimum(p.group, 1))
    system = make_system(problem, 2, steps=1)
    assert "stands for several groups" in IndividualFairness().supports(system)


def test_points_bound_the_rows(system):
    (found,) = IndividualFairness(points=40).measure(system).measurements
    assert found.n == 40
