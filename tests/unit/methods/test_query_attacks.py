"""Attacks that only ask the model, against distances that are known and against ART."""

import numpy as np
import pytest
import torch

from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.column_search import column_search
from trustbench.methods.attacks.evasion.hop_skip_jump import HopSkipJump
from trustbench.methods.attacks.evasion.pgd import margin

D = 6
WEIGHTS = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0, 1.5], dtype=torch.float64)


def linear(X):
    z = X @ WEIGHTS + 0.3
    return torch.stack([torch.zeros_like(z), z], dim=-1)


def threat(norm, epsilon, weight=None, low=-9.0, high=9.0):
    ones = torch.ones(D, dtype=torch.float64)
    return ThreatModel(norm, epsilon, ones if weight is None else weight, low * ones, high * ones)


def rows(n=40):
    X = torch.as_tensor(np.random.default_rng(0).normal(size=(1, n, D)))
    return X, linear(X).argmax(-1)[0]


def streams(seed=0):
    return [torch.Generator().manual_seed(seed)]


def distance(X, norm, weight=None):
    """The exact distance to the boundary of `linear` in units of the weight."""
    w = WEIGHTS if weight is None else WEIGHTS * weight
    return (X @ WEIGHTS + 0.3).abs() / (w.abs().sum() if norm == "linf" else w.norm())


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_walk_ends_near_the_exact_distance_and_never_below_it(norm):
    X, y = rows()
    exact = distance(X, norm)
    whole = HopSkipJump(steps=12, probes=60)(linear, X, y, threat(norm, 100.0), streams())
    assert whole.fooled.all()
    size = threat(norm, 1.0).size(whole.X - X)
    assert (size >= exact - 1e-9).all()
    assert (size / exact).median() < 1.15
    radius = float(exact.median())
    held = HopSkipJump(steps=12, probes=60)(linear, X, y, threat(norm, radius), streams())
    assert not held.fooled[exact > radius].any()
    assert held.fooled[exact < 0.75 * radius].all()
    assert (margin(linear(held.X), y)[held.fooled] >= 0).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_walk_is_about_as_short_as_that_of_art(norm):
    from art.attacks.evasion import HopSkipJump as Art
    from art.estimators.classification import BlackBoxClassifier

    X, y = rows(10)

    def labels(x):
        return np.eye(2)[linear(torch.as_tensor(x, dtype=torch.float64)).argmax(-1).numpy()]

    box = BlackBoxClassifier(labels, (D,), 2, clip_values=(-9.0, 9.0))
    order = np.inf if norm == "linf" else 2
    art = Art(box, norm=order, max_iter=8, max_eval=300, init_eval=30, verbose=False)
    np.random.seed(0)  # noqa: NPY002 ART draws from it
    theirs = art.generate(X[0].numpy().astype(np.float32), y.numpy())
    own = HopSkipJump(steps=8, probes=60)(linear, X, y, threat(norm, 100.0), streams())
    sizes = [threat(norm, 1.0).size(torch.as_tensor(x) - X[0]) for x in (own.X[0], theirs)]
    assert sizes[0].mean() < 1.1 * sizes[1].mean()


def test_columns_that_may_not_move_do_not():
    X, y = rows()
    weight = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 2.0], dtype=torch.float64)
    for attack in (
        lambda t: HopSkipJump()(linear, X, y, t, streams()),
        lambda t: column_search(linear, X, y, t, values=3, rounds=6),
    ):
        found = attack(threat("linf", 0.4, weight, low=-1.5, high=1.5)).X - X
        assert (found[..., weight == 0] == 0).all()
        assert (found.abs() <= 0.4 * weight + 1e-12).all()
        assert ((X + found).abs() <= torch.maximum(X.abs(), torch.tensor(1.5))).all()
        assert (found != 0).any()


def test_the_column_search_is_exact_on_a_linear_model():
    X, y = rows()
    exact = distance(X, "linf")
    for radius in (0.05, 0.1, 0.3):
        found = column_search(linear, X, y, threat("linf", radius), values=2, rounds=D)
        assert (found.fooled == (exact <= radius)).all()
    # two changes reach only as far as the two largest weights
    two = column_search(linear, X, y, threat("linf", 0.2), values=2, rounds=2)
    reach = 0.2 * WEIGHTS.abs().topk(2).values.sum()
    assert (two.fooled == ((X @ WEIGHTS + 0.3).abs() <= reach)).all()


def test_the_column_search_finds_a_step_inside_the_radius_that_the_ends_miss():
    def notch(X):
        wrong = ((X[..., 3] - 0.25).abs() < 0.1).double()
        return torch.stack([1 - wrong, wrong], dim=-1)

    X, y = torch.zeros(1, 3, D, dtype=torch.float64), torch.zeros(3, dtype=torch.int64)
    ends = column_search(notch, X, y, threat("linf", 0.5), values=2, rounds=D)
    assert not ends.fooled.any()
    inside = column_search(notch, X, y, threat("linf", 0.5), values=5, rounds=1)
    assert inside.fooled.all() and (inside.X[..., 3] == 0.25).all()
