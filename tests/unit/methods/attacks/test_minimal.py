"""The smallest radius that fools a point: exact for linear replicates, by bisection."""

import pytest
import torch

from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.minimal import at_radii, minimal_radius
from trustbench.methods.attacks.evasion.pgd import margin, pgd

R, N, D = 2, 50, 5
GRID = (0.05, 0.1, 0.2, 0.4, 0.8)


@pytest.fixture(scope="module")
def linear():
    g = torch.Generator().manual_seed(0)
    W = torch.randn(R, D, 2, generator=g, dtype=torch.float64)
    X = torch.randn(N, D, generator=g, dtype=torch.float64).expand(R, N, D)
    y = (X[0] @ W[0]).argmax(-1)
    weight = torch.rand(D, generator=g, dtype=torch.float64) + 0.5
    far = torch.full_like(weight, 99.0)
    return W, X, y, ThreatModel("linf", 1.0, weight, -far, far)


def distance(W, X, y, threat, norm):
    """How far each point is from the boundary of its linear replicate; 0 where it is wrong."""
    slope = (W[:, :, 1 - y] - W[:, :, y]).transpose(1, 2) * threat.weight
    rate = slope.abs().sum(-1) if norm == "linf" else torch.linalg.vector_norm(slope, dim=-1)
    return (-margin(X @ W, y) / rate).clamp(min=0)


def search(W, X, y, threat, bisections=4, cheat=1.0):
    def fooled(radii):
        streams = [torch.Generator().manual_seed(r) for r in range(R)]
        ball = at_radii(threat, cheat * radii)
        return pgd(lambda x: x @ W, X, y, ball, streams, steps=40, loss="margin").fooled

    return minimal_radius(fooled, GRID, X[..., 0], bisections)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_radius_is_the_distance_to_the_boundary_up_to_the_last_interval(linear, norm):
    W, X, y, threat = linear
    threat = ThreatModel(norm, 1.0, threat.weight, threat.lower, threat.upper)
    exact = distance(W, X, y, threat, norm)
    radius, found = search(W, X, y, threat)
    assert torch.equal(found, exact <= 0.8)
    assert 0.3 < found.double().mean() < 1
    edges = torch.tensor([0.0, *GRID], dtype=torch.float64)
    width = (edges[1:] - edges[:-1])[torch.bucketize(exact.clamp(max=0.8), edges[1:-1])] / 2**4
    slack = 1e-6 if norm == "linf" else 5e-3  # l2 steps leave a small angle, as in PGD's test

    def agrees(radius):
        excess = (radius - exact)[found]
        return bool((excess > -1e-9).all() and (excess <= width[found] + slack).all())

    assert agrees(radius)
    # planted errors: no bisection, and an attack at 90 % of the radius it is asked for
    assert not agrees(search(W, X, y, threat, bisections=0)[0])
    assert not agrees(search(W, X, y, threat, cheat=0.9)[0])


def test_points_beyond_the_grid_are_not_found_and_wrong_ones_are_at_once():
    radius, found = minimal_radius(
        lambda radii: torch.tensor([[True, False]]), (0.5, 1.0), torch.zeros(1, 2), 10
    )
    assert found.tolist() == [[True, False]]
    assert radius[0, 0] < 0.001
    assert radius[0, 1] == 1.0


@pytest.mark.parametrize("grid", [(0.1, 0.2), (0.1, 0.2, 0.3), tuple(k / 10 for k in range(1, 12))])
def test_the_grid_is_searched_for_any_length(grid):
    truth = torch.linspace(0.01, 1.3, 40)[None]
    radius, found = minimal_radius(lambda radii: radii >= truth, grid, truth, 0)
    assert torch.equal(found, truth <= grid[-1])
    expected = torch.tensor(grid)[
        torch.bucketize(truth, torch.tensor(grid)).clamp(max=len(grid) - 1)
    ]
    torch.testing.assert_close(radius, expected)


def test_a_threat_of_many_radii_is_that_many_threats(linear):
    _, X, _, threat = linear
    radii = torch.linspace(0.1, 1.0, R * N, dtype=torch.float64).view(R, N)
    for norm in ("linf", "l2"):
        threat = ThreatModel(norm, 0.5, threat.weight, threat.lower, threat.upper)
        many, moved = at_radii(threat, radii), X + 3 * torch.sin(7 * X)
        together = many.project(moved, X)
        torch.testing.assert_close(many.size(together - X), radii, atol=1e-9, rtol=0)
        one = ThreatModel(norm, float(radii[1, 3]), threat.weight, threat.lower, threat.upper)
        torch.testing.assert_close(together[1, 3], one.project(moved, X)[1, 3])
        step = many.step(torch.ones_like(X), 0.5)
        torch.testing.assert_close(many.size(step), radii / 2)
        start = many.random_point(X, [torch.Generator().manual_seed(r) for r in range(R)])
        assert (many.size(start - X) <= radii + 1e-9).all()
