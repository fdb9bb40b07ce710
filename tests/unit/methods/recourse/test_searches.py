"""Both searches against exact answers: projections, quadratic programs, all levels tried."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from trustbench.api.checks.toys import make_problem, make_system
from trustbench.contracts import Feature
from trustbench.methods.recourse import Actions, Goal, Searching, copies, nearest

SEARCHES = ("gradient", "genetic")


def linear(problem, weights):
    """A system of one replicate per row of `weights` [R, d], log-odds = weights . x."""
    w = torch.as_tensor(weights, dtype=torch.float32)
    system = make_system(problem, replicates=len(w), steps=0)

    def forward(X):
        odds = (X.expand(len(w), *X.shape[-2:]) * w[:, None]).sum(-1)
        return torch.stack([-odds / 2, odds / 2], -1)

    return dataclasses.replace(system, forward=forward)


def declared(problem, **changes):
    """The problem with other features: name -> fields."""
    features = tuple(dataclasses.replace(f, **changes.get(f.name, {})) for f in problem.features)
    return dataclasses.replace(problem, features=features)


@pytest.fixture(scope="module")
def boxed():
    """One immutable, one that only grows, one that only shrinks, three that are free."""
    fixed = {"x0": {"mutable": False}, "x1": {"change": "up"}, "x2": {"action": "down"}}
    return declared(make_problem(n=200), **fixed)


@pytest.fixture(scope="module")
def people(boxed):
    rng = np.random.default_rng(0)
    system = linear(boxed, rng.normal(size=(3, 6)))
    X = copies(system, system.tensor(boxed.rows("test")[0][:30]))
    return system, X, Goal(system).refused(X), rng


def test_far_from_the_box_a_row_is_projected_on_the_hyperplane():
    problem = declared(
        make_problem(n=200), **{f"x{j}": {"lower": -1e3, "upper": 1e3} for j in range(6)}
    )
    w = np.random.default_rng(1).normal(size=(2, 6))
    system = linear(problem, w)
    X = copies(system, system.tensor(problem.rows("test")[0][:40]))
    found = Searching("gradient")(system, X)
    refused = Goal(system).refused(X)
    distance = Goal(system).log_odds(X).abs() / torch.tensor(np.linalg.norm(w, axis=1)[:, None])
    assert found.found.all() and refused.any()
    assert torch.allclose(found.cost[refused].double(), distance[refused], atol=1e-3)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_least_change_solves_the_constrained_program(norm):
    rng = np.random.default_rng(2)
    for _ in range(12):
        w, low, high = rng.normal(size=5), -rng.random(5), rng.random(5)
        w[rng.integers(5)] = 0.0
        low[rng.integers(5)] = 0.0
        most = np.where(w > 0, w * high, w * low).sum()
        gap = 0.8 * most
        given = (torch.as_tensor(v) for v in (w, gap, low, high))
        ours = nearest(*given, norm).numpy()
        assert (ours >= low - 1e-9).all() and (ours <= high + 1e-9).all()
        assert ours @ w == pytest.approx(gap)
        assert _size(ours, norm) == pytest.approx(_by_scipy(w, gap, low, high, norm), abs=1e-5)
        beyond = nearest(*(torch.as_tensor(v) for v in (w, 2 * most, low, high)), norm).numpy()
        assert beyond @ w == pytest.approx(most)  # out of reach: the closest that there is


def _size(change, norm):
    return np.abs(change).sum() if norm == "l1" else np.sqrt((change**2).sum())


def _by_scipy(w, gap, low, high, norm):
    """The optimum; for `l1` each column is split into its rise and its fall."""
    if norm == "l2":
        crosses = {"type": "ineq", "fun": lambda v: v @ w - gap}
        bounds = list(zip(low, high, strict=True))
        found = minimize(lambda v: v @ v, (low + high) / 2, bounds=bounds, constraints=crosses,
                         tol=1e-12)  # fmt: skip
        return np.sqrt(found.fun)
    from scipy.optimize import linprog

    bounds = [(0, h) for h in high] + [(0, -b) for b in low]
    return linprog(np.ones(10), A_ub=-np.r_[w, -w][None], b_ub=[-gap], bounds=bounds).fun


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("search", SEARCHES)
def test_nobody_is_told_to_do_what_a_person_cannot(people, search, norm):
    system, X, refused, _ = people
    actions = Actions.of(system.problem, norm, X)
    found = Searching(search, norm)(system, X)
    change = (found.changed - X)[refused]
    assert found.found[refused].any()
    assert actions.allowed(X, found.changed).all()
    assert (change[:, 0] == 0).all() and (change[:, 1] >= 0).all() and (change[:, 2] <= 0).all()
    # a search that ignores the declarations, as published ones did, does not pass: plant one
    free = declared(system.problem, x0={"mutable": True}, x1={"change": "any"})
    ignoring = Searching(search, norm)(dataclasses.replace(system, problem=free), X)
    assert not actions.allowed(X, ignoring.changed)[refused].all()


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_the_genetic_search_comes_close_to_the_exact_answer(people, norm):
    system, X, refused, _ = people
    exact, genetic = (Searching(s, norm)(system, X) for s in ("gradient", "genetic"))
    both = refused & exact.found
    assert genetic.found[both].float().mean() > 0.97
    ratio = genetic.cost[both & genetic.found] / exact.cost[both & genetic.found]
    assert ratio.min() > 0.99  # nothing is cheaper than the optimum
    assert ratio.median() < 1.05
    assert ratio.mean() < 1.15


def test_categories_move_to_the_best_of_all_levels():
    """Two numbers and a category of three levels, against the best level by exact projection."""
    base = make_problem(n=200, d=5)
    X = base.X.copy()
    X[:, 2:] = np.eye(3, dtype=np.float32)[np.random.default_rng(3).integers(3, size=len(X))]
    category = Feature("c", "categorical", (2, 3, 4), 0.0, 1.0, scale=0.0, levels=("a", "b", "c"))
    problem = dataclasses.replace(base, X=X, features=(*base.features[:2], category))
    w = torch.tensor([1.0, -0.5, -2.0, 0.0, 2.0])
    system = linear(problem, w[None])
    rows = copies(system, system.tensor(problem.rows("test")[0][:25]))
    found, refused = Searching("genetic")(system, rows), Goal(system).refused(rows)
    assert refused.sum() > 5 and found.found[refused].all()
    actions = Actions.of(problem, "l2", rows)
    assert actions.allowed(rows, found.changed).all()
    for k in torch.nonzero(refused[0]).flatten().tolist():
        x, best = rows[0, k], np.inf
        for level in range(3):
            switched = torch.cat([x[:2], torch.eye(3)[level]])
            low, high = actions.reach(x)
            step = nearest(w * (high - low > 0), -(switched @ w), low, high, "l2")
            if (switched + step) @ w > -1e-4:
                best = min(best, float(actions.cost(switched + step - x)))
        assert found.cost[0, k] == pytest.approx(best, rel=0.1, abs=2e-3)
    half = rows.clone()
    half[..., 2:] = 1 / 3  # a person is not a third of each category
    assert not actions.allowed(rows, half).any()


@pytest.mark.parametrize("search", SEARCHES)
def test_a_small_grid_holds_nothing_cheaper_on_a_curved_model(search):
    problem = declared(make_problem(n=300, d=2, shift=1.0))
    system = make_system(problem, replicates=2, steps=60)
    X = copies(system, system.tensor(problem.rows("test")[0][:12]))
    found, refused = Searching(search)(system, X), Goal(system).refused(X)
    ends = [np.linspace(f.lower, f.upper, 61) for f in problem.features]
    grid = torch.tensor(list(itertools.product(*ends)), dtype=torch.float32)
    valid = Goal(system).reached(grid.expand(2, *grid.shape))
    away = (X[:, :, None] - grid).square().sum(-1).sqrt()
    least = torch.where(valid[:, None], away, torch.inf).amin(-1)
    assert found.found[refused].all()
    assert (found.cost - least)[refused].max() < 0.25
    assert (found.cost - least)[refused].median() < 0.05


@pytest.mark.parametrize("search", SEARCHES)
def test_an_answer_does_not_depend_on_who_else_asks(people, search):
    system, X, _, _ = people
    together, alone = (Searching(search)(system, x).changed[:, 4:6] for x in (X, X[:, :6]))
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_margin_is_kept():
    problem = make_problem(n=200)
    system = make_system(problem, replicates=2)
    X = copies(system, system.tensor(problem.rows("test")[0][:20]))
    found = Searching("gradient", margin=1.0)(system, X)
    assert (Goal(system).log_odds(found.changed)[found.found] >= 1.0).all()
