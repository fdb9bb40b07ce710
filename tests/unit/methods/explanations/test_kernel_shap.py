"""Vectorised KernelSHAP against the shap package, and against Shapley's formula."""

import dataclasses
import warnings
from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from tests.tables import make_table
from trustbench.contracts import Feature
from trustbench.errors import ConfigError
from trustbench.methods.explanations import kernel_shap
from trustbench.methods.explanations.kernel_shap import Coalitions, KernelShap, coalitions
from trustbench.methods.explanations.neighbourhoods import neighbourhood
from trustbench.methods.explanations.released import explained_points, part_effects, release
from trustbench.methods.explanations.targets import target_values

with warnings.catch_warnings():  # shap's colour maps, at import, with matplotlib 3.11
    warnings.simplefilter("ignore", PendingDeprecationWarning)
    import shap
    from shap.utils._legacy import DenseData


@pytest.fixture(scope="module")
def table_system():
    return make_system(make_table(), replicates=2)


def package_values(system, X, background, groups, r, target):
    """shap's own values [n, groups], all coalitions, of one replicate's predicted class."""
    classes = system.logits(X).argmax(-1)[r]

    def value(c):
        def f(rows):
            logits = system.logits(torch.as_tensor(rows, dtype=X.dtype))[r]
            at = logits[None, :, None], torch.full((1, len(rows)), int(c)), target
            return target_values(*at)[0, :, 0].double().numpy()

        return f

    names = [str(i) for i in range(len(groups))]
    data = DenseData(background.numpy().astype(np.float64), names, [np.array(g) for g in groups])
    found = []
    for x, c in zip(X, classes, strict=True):
        explainer = shap.KernelExplainer(value(c), data)
        found.append(explainer.shap_values(x.numpy(), nsamples="auto", silent=True, l1_reg=False))
    return np.array(found)


@pytest.mark.parametrize("target", ["margin", "probability"])
@pytest.mark.parametrize("background", [0, 7])
def test_values_are_those_of_the_package(system, target, background):
    X, _ = explained_points(system, 4)
    method = KernelShap(samples=62, background=background, target=target)
    groups = [[j] for j in range(6)]
    expected = package_values(system, X, method.rows(system), groups, 1, target)
    found = method.attributions(system, X)[1].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-4)
    # planted error: another background
    other = KernelShap(samples=62, background=7 - background, target=target)
    assert np.abs(other.attributions(system, X)[1].numpy() - expected).max() > 0.01


def test_the_columns_of_a_category_are_one_part(table_system):
    X, _ = explained_points(table_system, 5)
    method, area = KernelShap(), neighbourhood(table_system.problem)
    groups = [list(f.columns) for f in table_system.problem.features]
    expected = package_values(table_system, X, method.rows(table_system), groups, 0, "margin")
    values = method.values(table_system, area, X)[0].numpy()
    np.testing.assert_allclose(values, expected, rtol=1e-3, atol=2e-4)
    # planted error: every column on its own, summed by feature afterwards
    single = [[j] for j in range(7)]
    alone = package_values(table_system, X, method.rows(table_system), single, 0, "margin")
    summed = np.stack([alone[:, g].sum(axis=1) for g in groups], axis=1)
    assert np.abs(summed - values).max() > 0.01


def test_a_category_is_attributed_to_the_level_present(table_system):
    X, _ = explained_points(table_system, 5)
    method, area = KernelShap(), neighbourhood(table_system.problem)
    found, values = method.attributions(table_system, X), method.values(table_system, area, X)
    assert (found[..., 2:][:, X[:, 2:] == 0] == 0).all()
    explained = release(table_system, lambda X, k: found, "contributions")
    torch.testing.assert_close(
        part_effects(explained, area, found, X), values, rtol=1e-5, atol=1e-6
    )


def exact(game, parts):
    """Shapley's formula: mean marginal contributions over all orders."""
    values = np.zeros(parts)
    for i in range(parts):
        rest = [j for j in range(parts) if j != i]
        for k in range(parts):
            for S in combinations(rest, k):
                values[i] += (game({*S, i}) - game(set(S))) / (parts * comb(parts - 1, k))
    return values


@pytest.mark.parametrize("wrong", [None, "equal weights", "unconstrained"])
def test_the_solver_knows_shapleys_formula(wrong):
    rng = np.random.default_rng(0)
    table = dict(zip(range(32), rng.normal(size=32), strict=True))

    def game(S):
        return table[sum(2**i for i in S)]

    drawn = coalitions(5, 30, rng)
    if wrong == "equal weights":
        drawn = Coalitions(drawn.masks, np.ones(30))
    solver = drawn.solver()
    sets = [set(np.flatnonzero(m)) for m in drawn.masks] + [set(range(5))]
    gains = np.array([game(S) for S in sets]) - game(set())
    if wrong == "unconstrained":
        w = drawn.weights[:, None]
        found = np.linalg.solve((drawn.masks * w).T @ drawn.masks, (drawn.masks * w).T @ gains[:-1])
    else:
        found = solver @ gains
        assert found.sum() == pytest.approx(gains[-1])
    assert np.allclose(found, exact(game, 5)) == (wrong is None)


def test_outer_sizes_are_taken_whole_and_every_size_has_its_mass():
    drawn = coalitions(12, 256, np.random.default_rng(0))
    sizes = drawn.masks.sum(axis=1)
    assert len(sizes) == 256
    assert len(np.unique(drawn.masks[np.isin(sizes, (1, 11))], axis=0)) == 24
    k = np.arange(1, 12)
    kernel = 1 / (k * (12 - k))
    mass = np.bincount(sizes, weights=drawn.weights, minlength=12)[1:]
    np.testing.assert_allclose(mass[[0, 10]], (kernel / kernel.sum())[[0, 10]])
    np.testing.assert_allclose(mass, kernel / kernel.sum(), atol=0.04)
    assert drawn.weights.sum() == pytest.approx(1.0)


def test_drawn_coalitions_agree_with_all_of_them():
    system = make_system(make_problem(d=10, seed=3), replicates=2)
    X, _ = explained_points(system, 6)
    all_ = KernelShap(samples=1022).attributions(system, X)
    errors = []
    for samples in (100, 800):
        drawn = KernelShap(samples=samples)
        first, again = drawn.attributions(system, X), drawn.attributions(system, X, 1)
        torch.testing.assert_close(first.sum(-1), all_.sum(-1), rtol=1e-3, atol=1e-3)
        assert not torch.allclose(first, again)
        errors.append(float((first - all_).abs().mean() / all_.abs().mean()))
    assert errors[1] < errors[0] < 0.5
    assert errors[1] < 0.1


def test_rows_in_any_company_and_of_each_replicate(system, monkeypatch):
    X, _ = explained_points(system, 6)
    method = KernelShap()
    found = method.attributions(system, X)
    assert found.dtype == X.dtype
    torch.testing.assert_close(method.attributions(system, X.expand(4, *X.shape)), found)
    monkeypatch.setattr(kernel_shap, "BUDGET", 2 * 62 * 5 * 8)
    torch.testing.assert_close(method.attributions(system, X), found)


def test_patches_share_their_value_among_their_pixels():
    flat = make_problem(n=200, d=144)
    pixels = tuple(Feature(f"p{j}", "pixel", (j,), -20.0, 20.0) for j in range(144))
    problem = dataclasses.replace(flat, X=flat.X.reshape(-1, 1, 12, 12), features=pixels)
    system = make_system(problem, replicates=2, steps=40)
    X, _ = explained_points(system, 3)
    found = KernelShap(background=0).attributions(system, X).reshape(2, 3, 12, 12)
    assert torch.equal(found[..., ::2, ::2], found[..., 1::2, 1::2])
    with pytest.raises(ConfigError, match=r"samples=100 .* 36 features or patches .* at least 144"):
        KernelShap(samples=100).check(system)
