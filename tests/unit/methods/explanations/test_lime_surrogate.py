"""Vectorised LIME against the lime package, on known models, and its invariances."""

import dataclasses

import numpy as np
import pytest
import torch
from lime.lime_image import LimeImageExplainer
from lime.lime_tabular import LimeTabularExplainer
from sklearn.linear_model import Ridge
from sklearn.metrics import pairwise_distances

from tests.conftest import make_problem, make_system
from trustbench.contracts import Feature
from trustbench.methods.explanations import lime_surrogate
from trustbench.methods.explanations.lime_surrogate import Lime, Stream, released_score


def with_categories(problem):
    """The last four columns become a three-level one-hot block and a two-level column."""
    rng = np.random.default_rng(3)
    X = problem.X.copy()
    X[:, 2:5] = np.eye(3, dtype=np.float32)[rng.choice(3, p=[0.6, 0.3, 0.1], size=len(X))]
    X[:, 5] = rng.random(len(X)) < 0.3
    features = (
        *problem.features[:2],
        Feature("job", "categorical", (2, 3, 4), 0.0, 1.0, levels=("a", "b", "c")),
        Feature("sex", "categorical", (5,), 0.0, 1.0, levels=("f", "m")),
    )
    return dataclasses.replace(problem, X=X, features=features)


def as_images(problem, side):
    X = np.tile(problem.X, (1, -(-side * side // problem.X.shape[1])))[:, : side * side]
    features = tuple(Feature(f"p{j}", "pixel", (j,), -8.0, 8.0) for j in range(side * side))
    return dataclasses.replace(problem, X=X.reshape(-1, 1, side, side), features=features)


def in_double(problem, replicates=3):
    """A system of random tanh networks that computes in float64."""
    system = make_system(problem, replicates=replicates, steps=1)
    g = torch.Generator().manual_seed(1)
    d, k = problem.n_features, len(problem.classes)
    first = torch.randn(replicates, d, 12, generator=g, dtype=torch.float64) / d**0.5
    last = torch.randn(replicates, 12, k, generator=g, dtype=torch.float64)

    def forward(X):
        x = X.double().flatten(-len(problem.shape))
        return (x.expand(replicates, *x.shape[-2:]) @ first).tanh() @ last

    return dataclasses.replace(system, forward=forward)


def rows(system, n=5):
    return system.tensor(system.problem.rows("test")[0][:n].astype(np.float64))


def lime_package(design, distances, target, base):
    """Coefficients [p] of lime's own fit on given samples."""
    labels = np.stack([target, -target], axis=1)
    _, local, _, _ = base.explain_instance_with_data(
        design, labels, distances, 0, design.shape[1], feature_selection="none"
    )
    coefficients = np.empty(design.shape[1])
    for j, value in local:
        coefficients[j] = value
    return coefficients


def tabular_base(p):
    rng = np.random.default_rng(0)
    return LimeTabularExplainer(rng.random((50, p)), discretize_continuous=False).base


def compare(system, base, distance, tolerance=1e-10):
    """Largest difference between our coefficients and lime's, over replicates and rows."""
    lime = Lime(samples=300, patch_samples=300)
    area, X = lime.neighbourhood(system), rows(system)
    ours = lime.fits(system, area, X, Stream.PROBE).coefficients
    [(draws, targets)] = lime.draws(system, area, X, Stream.PROBE)
    worst = 0.0
    for i in range(len(X)):
        design = draws.design.expand(1, len(X), *draws.design.shape[2:])[0, i].numpy()
        far = distance(area, draws.Z[0, i], X[i].flatten(), design)
        for r in range(system.replicates):
            theirs = lime_package(design, far, targets[r, i].numpy(), base)
            worst = max(worst, np.abs(ours[r, i].numpy() - theirs).max())
    return worst


def euclidean(area, Z, x, design):
    return (Z - x).norm(dim=-1).numpy()


def cosine(area, Z, x, design):
    return pairwise_distances(design, np.ones((1, area.parts)), metric="cosine").ravel()


CASES = {
    "numbers": (lambda p: p, tabular_base, euclidean),
    "categories": (with_categories, tabular_base, euclidean),
    "patches": (lambda p: as_images(p, 12), lambda p: LimeImageExplainer().base, cosine),
}


@pytest.mark.parametrize("case", CASES)
def test_coefficients_equal_the_lime_package(case):
    convert, base, distance = CASES[case]
    system = in_double(convert(make_problem(n=200, classes=3)))
    assert compare(system, base(system.problem.n_features), distance) < 1e-10


def test_the_comparison_sees_a_kernel_width_one_percent_off():
    system = in_double(make_problem(n=200, classes=3))
    base = tabular_base(6)
    exact = base.kernel_fn
    base.kernel_fn = lambda d: exact(d / 1.01)
    assert compare(system, base, euclidean) > 1e-7


def test_held_out_r2_is_that_of_scikit_learn():
    system = in_double(with_categories(make_problem(n=200)))
    lime = Lime(samples=200)
    area, X = lime.neighbourhood(system), rows(system)
    r2 = lime.fits(system, area, X, Stream.PROBE).r2
    [(draws, targets)] = lime.draws(system, area, X, Stream.PROBE)
    for r, i in [(0, 0), (2, 3)]:
        D, w, t = draws.design[0, i].numpy(), draws.weights[0, i].numpy(), targets[r, i].numpy()
        ridge = Ridge(alpha=1.0).fit(D[:100], t[:100], sample_weight=w[:100])
        assert r2[r, i].item() == pytest.approx(ridge.score(D[100:], t[100:], w[100:]), abs=1e-10)


def linear(problem, weights, replicates=2):
    """Replicates whose logit margin of class 1 is x @ weights [replicates, d]."""
    W = torch.as_tensor(np.asarray(weights), dtype=torch.float32).reshape(replicates, -1, 1)

    def forward(X):
        x = X.flatten(-len(problem.shape))
        margin = x.expand(replicates, *x.shape[-2:]) @ W
        return torch.cat([torch.zeros_like(margin), margin], dim=-1)

    return dataclasses.replace(make_system(problem, replicates, steps=1), forward=forward)


def test_a_linear_model_is_explained_by_its_weights(problem):
    weights = np.array([[1.0, -2.0, 0.0, 0.5, 0, 0], [3.0, 0, 0, 0, 0, -1.0]])
    system = linear(problem, weights)
    X = rows(system, 20).float()
    lime = Lime(samples=2000)
    area = lime.neighbourhood(system)
    fits = lime.fits(system, area, X, Stream.PROBE)
    sign = np.where(system.logits(X).argmax(-1).numpy() == 1, 1.0, -1.0)
    expected = sign[..., None] * weights[:, None]
    assert np.abs(fits.coefficients.numpy() - expected).max() < 0.02  # the ridge shrinks
    assert (fits.r2 > 0.999).all()


def test_a_model_that_no_plane_fits_scores_low(problem):
    system = linear(problem, np.zeros((2, 6)))

    def ripples(X):
        margin = (40 * X[..., :1]).sin().expand(2, *X.shape[-2:-1], 1)
        return torch.cat([torch.zeros_like(margin), margin], dim=-1)

    system = dataclasses.replace(system, forward=ripples)
    lime = Lime()
    fits = lime.fits(system, lime.neighbourhood(system), rows(system).float(), Stream.PROBE)
    assert (fits.r2 < 0.05).all()


def test_a_constant_model_has_no_r2(problem):
    system = linear(problem, np.zeros((2, 6)))
    lime = Lime(samples=50)
    fits = lime.fits(system, lime.neighbourhood(system), rows(system).float(), Stream.PROBE)
    assert fits.r2.isnan().all()
    assert (fits.coefficients == 0).all()


def test_probability_targets_explain_the_probability(problem):
    system = linear(problem, [[0.01, 0, 0, 0, 0, 0]] * 2)
    X = rows(system, 4).float()
    lime = Lime(samples=500, target="probability")
    found = lime.attributions(system, lime.neighbourhood(system), X, Stream.RELEASED)
    sign = np.where(system.logits(X).argmax(-1).numpy() == 1, 1.0, -1.0)
    # dp/dx = w p (1 - p), p close to 1/2, less the ridge's share.
    np.testing.assert_allclose(found[..., 0].numpy(), sign * 0.01 / 4, rtol=0.02)


@pytest.mark.parametrize("convert", [lambda p: p, with_categories, lambda p: as_images(p, 12)])
def test_chunks_and_copies_per_replicate_change_nothing(convert, monkeypatch):
    system = in_double(convert(make_problem(n=200)))
    lime = Lime(samples=60, patch_samples=60)
    area, X = lime.neighbourhood(system), rows(system, 7)
    whole = lime.attributions(system, area, X, Stream.RELEASED)
    copies = X.expand(system.replicates, *X.shape)
    assert whole.shape == (3, 7, system.problem.n_features)
    torch.testing.assert_close(lime.attributions(system, area, copies, Stream.RELEASED), whole)
    monkeypatch.setattr(lime_surrogate, "BUDGET", 2 * 60 * system.problem.n_features * 3)
    torch.testing.assert_close(lime.attributions(system, area, X, Stream.RELEASED), whole)
    fits = lime.fits(system, area, copies, Stream.PROBE)
    torch.testing.assert_close(fits.r2, lime.fits(system, area, X, Stream.PROBE).r2)


def test_replicates_do_not_depend_on_their_number(problem):
    weights = np.random.default_rng(0).normal(size=(4, 6))
    X = torch.as_tensor(problem.rows("test")[0][:5])
    lime, found = Lime(samples=50), []
    for system in (linear(problem, weights[:2]), linear(problem, weights, 4)):
        area = lime.neighbourhood(system)
        found.append(lime.attributions(system, area, X, Stream.RELEASED)[:2])
    torch.testing.assert_close(*found)


def test_released_score_is_one_for_the_truth_and_low_for_noise(problem):
    weights = np.array([[1.0, -2.0, 0.0, 0.5, 0, 0]] * 2)
    system = linear(problem, weights)
    X = rows(system, 6).float()
    lime = Lime(samples=200)
    area = lime.neighbourhood(system)
    sign = torch.where(system.logits(X).argmax(-1) == 1, 1.0, -1.0).double()
    truth = sign[..., None] * torch.as_tensor(weights)[:, None]
    [(draws, targets)] = lime.draws(system, area, X, Stream.FRESH)
    torch.testing.assert_close(
        released_score(draws, targets, truth), torch.ones(2, 6, dtype=torch.float64)
    )
    assert (released_score(draws, targets, truth.flip(-1)) < 0.2).all()
    assert (released_score(draws, targets, truth * 0) <= 0).all()
