"""The explanation attack moves saliency and keeps decisions; overlap with ties by hand."""

import pytest
import torch

from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.pgd import margin
from trustbench.methods.attacks.evasion.saliency import (
    equal_norm_control,
    explanation_attack,
    overlap,
    top,
)

R, N, D, C, H = 2, 30, 8, 3, 32
WIDE = torch.full((D,), 9.0)


def streams(seed):
    return [torch.Generator().manual_seed(100 * seed + r) for r in range(R)]


def network(activation):
    g = torch.Generator().manual_seed(0)
    a = torch.randn(R, D, H, generator=g)
    b = torch.randn(R, H, C, generator=g)
    return lambda x: torch.bmm(activation(torch.bmm(x, a)), b)


def saliency(forward, X, decision):
    X = X.detach().clone().requires_grad_()
    (s,) = torch.autograd.grad(-margin(forward(X), decision).sum(), X)
    return s


def attack(activation, norm="linf", epsilon=0.15, restarts=2):
    forward = network(activation)
    X = torch.randn(N, D, generator=torch.Generator().manual_seed(1)).expand(R, N, D)
    threat = ThreatModel(norm, epsilon, torch.ones(D), -WIDE, WIDE)
    decision = forward(X).argmax(-1)
    clean = top(saliency(forward, X, decision), 3)
    worst, blind = explanation_attack(
        forward, X, clean, threat, streams(2), steps=10, restarts=restarts
    )
    control = equal_norm_control(forward, X, worst.X, threat, streams(3))
    kept = [overlap(clean, top(saliency(forward, x, decision), 3)) for x in (worst.X, control)]
    return forward, X, worst, blind, control, threat, kept


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_smooth_network_loses_more_overlap_than_to_chance(norm):
    forward, X, worst, blind, control, threat, (attacked, random) = attack(torch.tanh, norm)
    assert attacked.mean() < random.mean() - 0.05
    assert not blind.any()
    decision = forward(X).argmax(-1)
    for x in (worst.X, control):
        assert torch.equal(forward(x).argmax(-1), decision)
    # equal norm, up to the control's points that found no direction and stayed clean
    sizes = threat.size(worst.X - X), threat.size(control - X)
    moved = sizes[1] > 0
    torch.testing.assert_close(sizes[0][moved], sizes[1][moved], rtol=1e-4, atol=1e-5)
    assert moved.double().mean() > 0.8


def test_a_relu_network_is_searched_at_random_and_says_so():
    *_, blind, _, _, (attacked, random) = attack(torch.relu)
    assert blind.all()
    assert attacked.mean() < random.mean()  # the best of many corners still beats one


def test_a_linear_network_has_nothing_to_move():
    *_, blind, _, _, (attacked, random) = attack(lambda h: h, epsilon=0.01)
    assert blind.all()
    assert (attacked == 1).double().mean() > 0.9
    assert (random == 1).double().mean() > 0.9


def test_more_restarts_never_score_worse():
    one, two = (attack(torch.tanh, restarts=k)[2].score for k in (1, 2))
    assert (two >= one).all()


def test_top_and_overlap_by_hand():
    a = top(torch.tensor([5.0, -4.0, 1.0, 0.0]), 2)
    assert a.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert overlap(a, top(torch.tensor([5.0, 1.0, -4.0, 0.0]), 2)).item() == 0.5
    flat = top(torch.zeros(4), 2)
    assert flat.tolist() == [0.5] * 4
    assert overlap(a, flat).item() == 0.5  # what two random pairs of four share on average
    assert overlap(flat, flat).item() == 1.0
