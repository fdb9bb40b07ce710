"""Bounds against samples, an exact solver and closed forms."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import Bounds, LinearConstraint, milp

from trustbench.contracts import Affine, Chain
from trustbench.methods.verification.bounds import margins, proven_radius

METHODS = ("interval", "linear")


def network(*widths, activation="relu", R=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    layers = []
    for fan_in, out in pairwise(widths):
        weight = torch.randn(R, out, fan_in, generator=g) * 1.5 / fan_in**0.5
        layers += [Affine(weight, 0.3 * torch.randn(R, out, generator=g)), activation]
    return Chain(tuple(layers[:-1]), of=lambda X: X)


def boxes(R, n, d, reach, seed=1):
    g = torch.Generator().manual_seed(seed)
    centre = torch.randn(R, n, d, generator=g)
    radius = reach * torch.rand(R, n, d, generator=g)
    return centre - radius, centre + radius, torch.randint(3, (n,), generator=g)


def sampled(chain, low, high, y, n=4000):
    """The smallest margins [R, n, C] among random points and corners of the boxes."""
    g = torch.Generator().manual_seed(2)
    found = None
    for k in range(n):
        share = torch.rand(low.shape, generator=g)
        share = share.round() if k % 2 else share
        logits = chain(low + share * (high - low))
        true = logits.gather(-1, y.expand(len(logits), -1).unsqueeze(-1))
        found = true - logits if found is None else torch.minimum(found, true - logits)
    return found


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("widths", [(5, 8, 3), (5, 8, 8, 3), (5, 6, 6, 6, 3)])
@pytest.mark.parametrize("reach", [0.05, 0.5, 3.0])
def test_no_sampled_point_lies_below_a_bound_and_lines_are_tighter(activation, widths, reach):
    chain = network(*widths, activation=activation)
    low, high, y = boxes(2, 6, 5, reach)
    least = sampled(chain, low, high, y, n=300)
    interval, linear = (margins(chain, low, high, y, m) for m in METHODS)
    assert (interval <= linear + 1e-9).all()
    assert (linear <= least + 1e-5).all()
    assert (linear.gather(-1, y.expand(2, -1).unsqueeze(-1)) == 0).all()
    if reach < 1:
        assert linear.sum() > interval.sum() + 1e-3


def test_bounds_that_forget_the_sign_of_a_weight_are_caught():
    chain = network(5, 8, 3)
    low, high, y = boxes(2, 6, 5, 0.5)
    least = sampled(chain, low, high, y, n=300)
    logits = chain(low)  # monotone layers at the lower end: right for weights above 0 alone
    wrong = logits.gather(-1, y.expand(2, -1).unsqueeze(-1)) - chain(high)
    assert not (wrong <= least + 1e-5).all()


def exact(chain, low, high, y, j):
    """The least margin of one row and replicate 0, by mixed-integer programming."""
    (w1, b1), (w2, b2) = ((a.weight[0].double(), a.bias[0].double()) for a in chain.layers[::2])
    h, d = w1.shape
    centre, reach = (low + high) / 2, (high - low) / 2
    at = w1 @ centre + b1
    lo, up = at - w1.abs() @ reach, at + w1.abs() @ reach
    lo, up = lo.clamp(max=0).numpy(), up.clamp(min=0).numpy()
    w, b = w1.numpy(), b1.numpy()
    eye, none = np.eye(h), np.zeros((h, h))
    rows = [
        LinearConstraint(np.hstack([-w, eye, none]), b, np.inf),  # a >= w x + b
        LinearConstraint(np.hstack([-w, eye, -np.diag(lo)]), -np.inf, b - lo),
        LinearConstraint(np.hstack([np.zeros((h, d)), eye, -np.diag(up)]), -np.inf, 0),
    ]
    difference = (w2[y] - w2[j]).numpy()
    cost = np.concatenate([np.zeros(d), difference, np.zeros(h)])
    bounds = Bounds(
        np.concatenate([low.numpy(), np.zeros(2 * h)]),
        np.concatenate([high.numpy(), np.full(h, np.inf), np.ones(h)]),
    )
    integrality = np.concatenate([np.zeros(d + h), np.ones(h)])
    found = milp(cost, constraints=rows, bounds=bounds, integrality=integrality)
    assert found.success
    return found.fun + float(b2[y] - b2[j])


def test_the_exact_margin_of_twenty_rows_lies_between_bound_and_attack():
    chain = network(4, 7, 3, R=1)
    low, high, y = boxes(1, 20, 4, 0.6)
    least = sampled(chain, low, high, y, n=600)[0]
    interval, linear = (margins(chain, low, high, y, m)[0] for m in METHODS)
    gaps = []
    for i in range(20):
        for j in {0, 1, 2} - {int(y[i])}:
            true = exact(chain, low[0, i].double(), high[0, i].double(), int(y[i]), j)
            assert interval[i, j] - 1e-6 <= linear[i, j] <= true + 1e-6
            assert true <= least[i, j] + 1e-5
            gaps.append((true - float(linear[i, j]), true - float(interval[i, j])))
    by_lines, by_intervals = np.mean(gaps, axis=0)
    assert by_lines < 0.6 * by_intervals


def test_without_hidden_layers_the_radius_is_the_closed_form():
    chain = network(5, 3)
    g = torch.Generator().manual_seed(3)
    X = torch.randn(2, 30, 5, generator=g)
    weight = torch.tensor([1.0, 0.5, 2.0, 1.0, 0.0])  # the last column may not change
    logits = chain(X)
    y = logits[0].argmax(-1)
    w = chain.layers[0].weight
    difference = w[:, y].unsqueeze(2) - w.unsqueeze(1)  # [R, n, C, d]
    margin = logits.gather(-1, y.expand(2, -1).unsqueeze(-1)) - logits
    ratio = margin / (difference.abs() * weight).sum(-1)
    ratio = ratio.scatter(-1, y.expand(2, -1).unsqueeze(-1), torch.inf).amin(-1).clamp(min=0)

    for method in METHODS:

        def proven(radii, method=method):
            reach = radii.unsqueeze(-1) * weight
            found = margins(chain, X - reach, X + reach, y, method)
            others = found.scatter(-1, y.expand(2, -1).unsqueeze(-1), torch.inf)
            return others.amin(-1) > 0

        like = torch.zeros(2, 30, dtype=torch.float64)
        found = proven_radius(proven, 1.0, like, halvings=20)
        torch.testing.assert_close(found, ratio.double().clamp(max=1.0), atol=1e-5, rtol=1e-5)


def test_rows_in_parts_have_the_same_bounds(monkeypatch):
    from trustbench.methods.verification import bounds

    chain = network(5, 8, 8, 3)
    low, high, y = boxes(2, 9, 5, 0.3)
    whole = margins(chain, low, high, y, "linear")
    monkeypatch.setattr(bounds, "NUMBERS", 2 * 64 * 2)
    torch.testing.assert_close(margins(chain, low, high, y, "linear"), whole)
