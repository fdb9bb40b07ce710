"""No attack leaves its threat model: property tests over random boxes, norms and attacks."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import make_problem
from trustbench.contracts import Feature
from trustbench.methods.attacks.evasion.box import ThreatModel, unattackable
from trustbench.methods.attacks.evasion.pgd import pgd
from trustbench.methods.attacks.evasion.saliency import equal_norm_control, explanation_attack, top
from trustbench.methods.attacks.evasion.square import last_written, square

R, N = 3, 5


def streams(seed, count=R):
    return [torch.Generator().manual_seed(1000 * seed + r) for r in range(count)]


def setting(seed, norm, shape):
    """A random threat model with immutable columns, and clean points of which some lie outside."""
    g = torch.Generator().manual_seed(seed)

    def rand(*size):
        return torch.rand(size, generator=g, dtype=torch.float64)

    weight = rand(*shape) * (rand(*shape) < 0.7)
    weight.flatten()[0] = 0.5  # something must be attackable
    lower = -rand(*shape)
    threat = ThreatModel(norm, 0.3, weight, lower, lower + rand(*shape))
    X = torch.randn((R, N, *shape), generator=g, dtype=torch.float64)
    w = torch.randn((R, X[0, 0].numel(), 3), generator=g, dtype=torch.float64)

    def forward(x):
        return torch.bmm(x.flatten(2).tanh(), w[: len(x)])

    return threat, X, torch.randint(3, (N,), generator=g), forward


def run(attack, threat, X, y, forward, seed):
    g = streams(seed)
    if attack == "pgd":
        return pgd(forward, X, y, threat, g, steps=3, loss="ce").X
    if attack == "square":
        return square(forward, X, y, threat, g, queries=15).X
    if attack == "start":
        return threat.random_point(X, g)
    important = top(torch.randn(X.flatten(2).shape, generator=g[0]), 1)
    worst, _ = explanation_attack(forward, X, important, threat, g, steps=2, restarts=1)
    if attack == "explanation":
        return worst.X
    return equal_norm_control(forward, X, worst.X, threat, g)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    norm=st.sampled_from(["linf", "l2"]),
    shape=st.sampled_from([(4,), (1, 3, 4), (2, 4, 4)]),
    attack=st.sampled_from(["pgd", "square", "start", "explanation", "control"]),
)
def test_no_attack_leaves_the_threat_model(seed, norm, shape, attack):
    threat, X, y, forward = setting(seed, norm, shape)
    adv = run(attack, threat, X, y, forward, seed)
    still = (threat.weight == 0).expand_as(X)
    assert torch.equal(adv[still], X[still])  # immutable columns: to the bit
    assert (threat.size(adv - X) <= threat.epsilon + 1e-9).all()
    outside = (adv < threat.lower) | (adv > threat.upper)
    closer = (adv - X) * torch.where(adv > threat.upper, -1.0, 1.0) >= 0
    assert closer[outside].all()  # only points that were outside are, and none goes further


def test_the_check_itself_sees_a_point_outside():
    threat, X, _, _ = setting(1, "linf", (4,))
    assert (threat.size(1.01 * threat.epsilon * threat.weight.expand_as(X)) > 0.3 + 1e-9).all()


def test_l2_size_and_projection_respect_the_scale():
    wide = torch.tensor(100.0)
    threat = ThreatModel("l2", 1.0, torch.tensor([3.0, 4.0]), -wide, wide)
    X = torch.zeros(1, 1, 2)
    far = threat.project(torch.tensor([[[30.0, 40.0]]]), X)  # 10 units along each column
    torch.testing.assert_close(far, torch.tensor([[[3.0, 4.0]]]) / 2**0.5)
    torch.testing.assert_close(threat.size(far), torch.ones(1, 1))


def test_of_reads_scale_mutability_and_bounds_of_the_problem():
    problem = make_problem(d=3)
    object.__setattr__(
        problem,
        "features",
        (
            Feature("a", "numeric", (0,), -1.0, 2.0, scale=0.5),
            Feature("b", "numeric", (1,), -3.0, 3.0, mutable=False),
            Feature("c", "categorical", (2,), 0.0, 1.0, scale=0.0),
        ),
    )
    threat = ThreatModel.of(problem, "linf", 0.1, torch.zeros(1, dtype=torch.float64))
    assert threat.weight.tolist() == [0.5, 0.0, 0.0]
    assert threat.lower.tolist() == [-1.0, -3.0, 0.0]
    assert threat.upper.tolist() == [2.0, 3.0, 1.0]
    assert threat.weight.dtype == torch.float64
    assert unattackable(problem) is None
    object.__setattr__(problem, "features", problem.features[1:])
    assert "no column of toy may be perturbed" in unattackable(problem)


def test_whole_box_reaches_every_corner_of_every_column():
    threat, X, _, _ = setting(3, "linf", (4,))
    X = X.clamp(threat.lower, threat.upper)
    box = threat.whole_box()
    assert torch.equal(box.project(X + 9.0, X), box.upper.expand_as(X))


def test_random_starts_fill_the_ball_uniformly():
    wide = torch.full((2,), 9.0)
    X = torch.zeros(1, 4000, 2)
    for norm, inner in (("linf", 0.25), ("l2", 0.25)):  # area of the half-size ball in 2-d
        threat = ThreatModel(norm, 1.0, torch.ones(2), -wide, wide)
        start = threat.random_point(X, streams(0, 1))
        share = (threat.size(start) < 0.5).double().mean().item()
        assert abs(share - inner) < 4 * (inner * (1 - inner) / 4000) ** 0.5


def test_draws_of_a_replicate_do_not_depend_on_how_many_there_are():
    threat, X, y, forward = setting(5, "l2", (1, 3, 4))

    for attack in ("pgd", "square", "start"):
        many = run(attack, threat, X, y, forward, 7)
        few = {
            "pgd": lambda: pgd(forward, X[:1], y, threat, streams(7, 1), steps=3, loss="ce").X,
            "square": lambda: square(forward, X[:1], y, threat, streams(7, 1), queries=15).X,
            "start": lambda: threat.random_point(X[:1], streams(7, 1)),
        }[attack]()
        torch.testing.assert_close(many[:1], few)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_column_that_only_grows_or_shrinks_moves_one_way(norm):
    features = [
        Feature("free", "numeric", (0,), -9.0, 9.0),
        Feature("up", "numeric", (1,), -9.0, 9.0, change="up"),
        Feature("down", "numeric", (2,), -9.0, 9.0, change="down"),
    ]
    problem = dataclasses.replace(make_problem(n=200, d=3), features=tuple(features))
    X = torch.zeros(R, 40, 3, dtype=torch.float64)
    threat = ThreatModel.of(problem, norm, 0.5, X)
    towards = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    for sign in (1, -1):
        moved = threat.project(X + sign * threat.steepest(towards.expand_as(X)), X)[0, 0]
        assert moved[0] * sign > 0
        assert (moved[1] > 0, moved[2] < 0) == (sign > 0, sign < 0)
        assert 0 in moved[1:].tolist()
    start = threat.random_point(X, streams(0))
    assert (start[..., 1] >= 0).all()
    assert (start[..., 2] <= 0).all()
    assert (start[..., 0] < 0).any()
    wide = threat.whole_box().bounds(X)
    assert wide[0][..., 1].abs().max() == 0
    assert wide[1][..., 2].abs().max() == 0


def test_of_equal_columns_the_last_sign_counts_on_every_device():
    """A GPU takes the form that has one result; the CPU's scatter gives the same, faster."""
    g = torch.Generator().manual_seed(0)
    signs = torch.randint(2, (3, 40, 20), generator=g) * 2.0 - 1
    index = torch.randint(20, (3, 40, 16), generator=g)
    fresh = torch.randint(2, (3, 40, 16), generator=g) * 2.0 - 1
    expected = signs.clone()
    for k in range(16):  # one write after another
        expected.scatter_(2, index[..., k : k + 1], fresh[..., k : k + 1])
    assert torch.equal(last_written(signs, index, fresh), expected)
    assert torch.equal(signs.scatter(2, index, fresh), expected)
