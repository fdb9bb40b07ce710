"""PGD and Square against the exact worst case of a linear model, and ART where it is installed."""

import itertools

import pytest
import torch

from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.pgd import cross_entropy, input_gradient, margin, pgd
from trustbench.methods.attacks.evasion.square import square

R, N, D, C = 2, 40, 6, 3


def streams(seed):
    return [torch.Generator().manual_seed(100 * seed + r) for r in range(R)]


@pytest.fixture(scope="module")
def linear():
    """Weights [R, d, C], biases, points, labels and a threat with an immutable column."""
    g = torch.Generator().manual_seed(0)
    W = torch.randn(R, D, C, generator=g, dtype=torch.float64)
    b = torch.randn(R, 1, C, generator=g, dtype=torch.float64)
    X = torch.randn(N, D, generator=g, dtype=torch.float64).expand(R, N, D)
    y = torch.randint(C, (N,), generator=g)
    weight = torch.rand(D, generator=g, dtype=torch.float64) + 0.5
    weight[2] = 0.0
    return W, b, X, y, weight


def threat_of(weight, norm, box):
    edge = torch.full_like(weight, box)
    return ThreatModel(norm, 0.4, weight, -edge, edge)


def exact_margin(W, b, X, y, threat):
    """max over the ball of (other logit - true logit), closed form: [R, n]."""
    logits = torch.baddbmm(b, X, W)
    best = torch.full((R, N), -torch.inf, dtype=X.dtype)
    for c in range(C):
        slope = W[:, :, c].unsqueeze(1) - W[:, :, :].permute(0, 2, 1)[:, y]  # [R, n, d]
        gain = logits[..., c] - logits.gather(-1, y.expand(R, N).unsqueeze(-1)).squeeze(-1)
        if threat.norm == "linf":
            low, high = threat.bounds(X)
            gain = gain + torch.maximum(slope * (low - X), slope * (high - X)).sum(-1)
        else:
            gain = gain + threat.epsilon * torch.linalg.vector_norm(slope * threat.weight, dim=-1)
        best = torch.where(y == c, best, torch.maximum(best, gain))
    return best


@pytest.mark.parametrize(("norm", "box"), [("linf", 1.0), ("linf", 99.0), ("l2", 99.0)])
def test_margin_pgd_reaches_the_exact_worst_case(linear, norm, box):
    W, b, X, y, weight = linear
    threat = threat_of(weight, norm, box)
    runs = [
        pgd(lambda x: torch.baddbmm(b, x, W), X, y, threat, streams(s), steps=60, loss="margin")
        for s in range(8)
    ]
    found = torch.stack([r.score for r in runs]).amax(0)
    exact = exact_margin(W, b, X, y, threat)
    assert (found <= exact + 1e-9).all()  # never better than possible
    # steps that add up to 2.5 radii leave a small angle to the steepest direction of a sphere
    gain = exact - margin(torch.baddbmm(b, X, W), y)
    tolerance = 1e-9 if norm == "linf" else 9e-3 * gain
    # with three classes a run may climb the wrong one; of eight starts one climbs the right one
    assert (exact - found < tolerance).double().mean() > 0.97
    # planted error: a radius 2 % too small is seen at nearly every point
    small = exact_margin(W, b, X, y, threat.scaled(0.98))
    assert (exact - small < tolerance).double().mean() < 0.05


def test_square_reaches_the_corners_of_a_small_ball_found_by_brute_force(linear):
    W, b, X, y, weight = linear
    threat = threat_of(weight, "linf", 99.0)

    def forward(x):
        return torch.baddbmm(b, x, W)

    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=D)), dtype=X.dtype)
    brute = torch.stack([margin(forward(X + 0.4 * weight * s), y) for s in corners]).amax(0)
    torch.testing.assert_close(brute, exact_margin(W, b, X, y, threat))
    found = square(forward, X, y, threat, streams(1), queries=200)
    assert (found.score <= brute + 1e-9).all()
    assert torch.equal(found.fooled, brute >= 0)


def test_square_on_the_sphere_comes_close_to_the_exact_l2_worst_case(linear):
    W, b, X, y, weight = linear
    threat = threat_of(weight, "l2", 99.0)
    found = square(lambda x: torch.baddbmm(b, x, W), X, y, threat, streams(1), queries=300)
    exact = exact_margin(W, b, X, y, threat)
    assert (found.score <= exact + 1e-9).all()
    assert (found.fooled == (exact >= 0)).double().mean() > 0.95


def test_leaving_fooled_points_out_of_the_search_changes_nothing(linear, monkeypatch):
    from trustbench.methods.attacks.evasion import square as module

    W, b, X, y, weight = linear
    threat = threat_of(weight, "linf", 99.0)
    results = []
    for share in (module.REPACK, 2.0):  # 2: never leave any out
        monkeypatch.setattr(module, "REPACK", share)
        found = square(lambda x: torch.baddbmm(b, x, W), X, y, threat, streams(4), queries=60)
        results.append(found)
    assert torch.equal(results[0].fooled, results[1].fooled)
    torch.testing.assert_close(results[0].X, results[1].X)
    assert results[0].fooled.any()
    assert not results[0].fooled.all()


def test_losses_by_hand_and_parameters_stay_untouched():
    logits = torch.tensor([[[2.0, 0.0, 1.0]], [[0.0, 3.0, 3.0]]])
    y = torch.tensor([0])
    torch.testing.assert_close(margin(logits, y), torch.tensor([[-1.0], [3.0]]))
    expected = torch.logsumexp(logits, -1) - logits[..., 0]
    torch.testing.assert_close(cross_entropy(logits, y), expected)
    weight = torch.randn(2, 3, requires_grad=True)
    gradient, out = input_gradient(lambda x: x @ weight, torch.zeros(1, 1, 2), y, "ce")
    assert weight.grad is None
    assert not gradient.requires_grad
    assert not out.requires_grad


def test_pgd_agrees_with_art():
    """Same fooled points as the toolbox's PGD on a net where both converge."""
    pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed")
    import numpy as np
    from art.attacks.evasion import ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    g = torch.Generator().manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Linear(D, 8), torch.nn.Tanh(), torch.nn.Linear(8, C))
    for p in net.parameters():
        p.data = torch.randn(p.shape, generator=g)
    X, y = torch.rand(60, D, generator=g), torch.randint(C, (60,), generator=g)
    kind = PyTorchClassifier(
        net, torch.nn.CrossEntropyLoss(), input_shape=(D,), nb_classes=C, clip_values=(0.0, 1.0)
    )
    theirs = ProjectedGradientDescent(
        kind, norm=np.inf, eps=0.1, eps_step=0.0125, max_iter=20, verbose=False
    ).generate(X.numpy(), y.numpy())
    with torch.no_grad():
        fooled = margin(net(torch.as_tensor(theirs)), y) >= 0
    threat = ThreatModel("linf", 0.1, torch.ones(D), torch.zeros(D), torch.ones(D))
    ours = pgd(net, X[None], y, threat, streams(0)[:1], steps=20, loss="ce")
    assert ours.fooled[0][fooled].all()  # the worst iterate is never milder than the last
    assert (ours.fooled[0] == fooled).double().mean() > 0.95
