"""Auto-PGD against the exact worst case of linear replicates, its paper's schedule, and ART."""

import pytest
import torch

from trustbench.methods.attacks.evasion import apgd as module
from trustbench.methods.attacks.evasion.apgd import apgd, checkpoints
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.pgd import difference_of_logits_ratio, entropy, margin, tie

R, N, D, C = 2, 60, 6, 3


def streams(seed, count=R):
    return [torch.Generator().manual_seed(100 * seed + r) for r in range(count)]


@pytest.fixture(scope="module")
def linear():
    g = torch.Generator().manual_seed(0)
    W = torch.randn(R, D, 2, generator=g, dtype=torch.float64)
    X = torch.randn(N, D, generator=g, dtype=torch.float64).expand(R, N, D)
    y = torch.randint(2, (N,), generator=g)
    weight = torch.rand(D, generator=g, dtype=torch.float64) + 0.5
    weight[1] = 0.0
    return W, X, y, weight


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("loss", ["ce", "margin"])
def test_it_reaches_the_exact_worst_case_of_a_linear_model(linear, norm, loss):
    W, X, y, weight = linear
    far = torch.full_like(weight, 99.0)
    threat = ThreatModel(norm, 0.4, weight, -far, far)
    found = apgd(lambda x: x @ W, X, y, threat, streams(1), steps=50, loss=loss)
    slope = (W[:, :, 1 - y] - W[:, :, y]).transpose(1, 2) * weight
    gain = slope.abs().sum(-1) if norm == "linf" else torch.linalg.vector_norm(slope, dim=-1)
    clean = margin(X @ W, y)
    exact = clean + 0.4 * gain
    tolerance = 2e-3 * gain
    assert (found.score <= exact + 1e-9).all()
    assert (exact - found.score < tolerance).all()
    # planted error: a radius 2 % too small is seen at every point
    assert (0.02 * 0.4 * gain > tolerance).all()
    assert torch.equal(found.X[..., 1], X[..., 1]), "a column of weight 0 never moves"
    assert (threat.size(found.X - X) <= 0.4 + 1e-9).all()


def test_the_schedule_is_that_of_the_paper():
    # periods 22, 19, 16, 13, 10, 7, 6, 6 of 100 steps (Croce & Hein 2020, section 3.1)
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(20)[-1] <= 20


def test_steps_halve_only_where_the_loss_stands_still():
    record = module._Record(
        best=module.Worst(torch.zeros(1, 4, 1), torch.tensor([[1.0, 2.0, 3.0, 4.0]])),
        gradient=torch.zeros(1, 4, 1),
        eta=torch.full((1, 4), 2.0),
        rises=torch.tensor([[9.0, 7.0, 10.0, 10.0]]),  # of 10 steps; 7 are too few
        halved=torch.tensor([[False, False, False, True]]),
        at_checkpoint=torch.tensor([[0.0, 0.0, 3.0, 4.0]]),  # the last two have no new best
    )
    stuck = record.halve(10)
    assert stuck.tolist() == [[False, True, True, False]]
    assert record.eta.tolist() == [[2.0, 1.0, 1.0, 2.0]]
    assert (record.rises == 0).all()


def test_losses_by_hand():
    logits = torch.tensor([[4.0, 1.0, 0.0, -2.0]])
    y = torch.tensor([1])
    ratio = difference_of_logits_ratio(logits, y)
    torch.testing.assert_close(ratio, torch.tensor([3.0 / 4.0]))
    torch.testing.assert_close(difference_of_logits_ratio(5 * logits + 2, y), ratio)
    assert (margin(5 * logits, y) != margin(logits, y)).all()  # planted: no ratio, no invariance
    p = logits.softmax(-1)
    expected = torch.distributions.Categorical(p).entropy()
    torch.testing.assert_close(entropy(logits, y), expected)
    torch.testing.assert_close(tie(logits, y), torch.tensor([-3.0]))


@pytest.fixture(scope="module")
def network():
    """A net of one hidden layer fitted to labels that are not linear in the inputs."""
    g = torch.Generator().manual_seed(1)
    X = torch.rand(200, D, generator=g)
    y = ((X[:, 0] + X[:, 1] * X[:, 2] > 0.7).long() + (X[:, 3] > 0.6).long()).clamp(max=C - 1)
    net = torch.nn.Sequential(torch.nn.Linear(D, 32), torch.nn.Tanh(), torch.nn.Linear(32, C))
    for p in net.parameters():
        p.data = 0.5 * torch.randn(p.shape, generator=g)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(X), y).backward()
        optimiser.step()
    return net, X, y


def test_it_agrees_with_art(network, monkeypatch):
    pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed")
    import numpy as np
    from art.attacks.evasion import AutoProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    net, X, y = network
    kind = PyTorchClassifier(
        net, torch.nn.CrossEntropyLoss(), input_shape=(D,), nb_classes=C, clip_values=(0.0, 1.0)
    )
    np.random.seed(0)  # noqa: NPY002  # ART draws its start from the global state
    theirs = AutoProjectedGradientDescent(
        kind, norm=np.inf, eps=0.08, eps_step=0.16, max_iter=30, nb_random_init=1,
        batch_size=200, loss_type="cross_entropy", verbose=False,
    ).generate(X.numpy(), y.numpy())  # fmt: skip
    for p in net.parameters():
        p.grad = None
    with torch.no_grad():
        fooled = margin(net(torch.as_tensor(theirs)), y) >= 0
    threat = ThreatModel("linf", 0.08, torch.ones(D), torch.zeros(D), torch.ones(D))

    def ours(threat):
        return apgd(net, X[None], y, threat, streams(0, 1), steps=30, loss="ce").fooled[0]

    assert 0.1 < fooled.double().mean() < 0.9
    assert (ours(threat) == fooled).double().mean() >= 0.99
    # planted errors: a radius 10 % too small; steps so short that the ball's edge is not reached
    assert (ours(threat.scaled(0.9)) == fooled).double().mean() < 0.99
    monkeypatch.setattr(module, "FIRST_STEP", 0.01)
    assert (ours(threat) == fooled).double().mean() < 0.99


def test_replicates_do_not_depend_on_each_other(linear):
    W, X, y, weight = linear
    far = torch.full_like(weight, 99.0)
    threat = ThreatModel("linf", 0.4, weight, -far, far)
    both = apgd(lambda x: x @ W, X, y, threat, streams(2), steps=12, loss="ce")
    one = apgd(lambda x: x @ W[:1], X[:1], y, threat, streams(2, 1), steps=12, loss="ce")
    torch.testing.assert_close(both.X[:1], one.X)
