"""Gaussian augmentation: the noise it states; and DP-CERT, whose sensitivity stays the bound."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from tests.unit.interventions.robustness.test_pgd_at import batch_of
from tests.unit.training.test_loop import TinyMLP, ignore, trainer
from trustbench.contracts import Batch
from trustbench.interventions.privacy.clip_only import ClipOnly
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.robustness.gaussian_augmentation import GaussianAugmentation
from trustbench.training import loop

BOUND = 0.4
CLIP = ClipOnly(max_grad_norm=BOUND, epochs=2, batch_size=20)
COPIES = GaussianAugmentation(sigma=0.5, views=3)


def scaled(problem, scale, frozen=()):
    features = tuple(
        dataclasses.replace(f, scale=scale * (j + 1), mutable=j not in frozen)
        for j, f in enumerate(problem.features)
    )
    return dataclasses.replace(problem, features=features)


def test_noise_is_gaussian_of_the_stated_scale_on_mutable_columns(system):
    problem = scaled(system.problem, 0.5, frozen=(2,))
    method = GaussianAugmentation(sigma=0.3, views=40, bounded=False)
    batch = batch_of(system, rows=200)
    noise = method.perturb(batch, system.forward, problem)[:, :, 1:] - batch.X
    flat = noise.flatten(0, 2)
    expected = torch.tensor([0.3 * 0.5 * (j + 1) * (j != 2) for j in range(6)])
    torch.testing.assert_close(flat.std(0), expected, rtol=0.02, atol=1e-6)
    assert (flat.mean(0).abs() < 0.01).all()
    within = (flat[:, 0].abs() < 0.15).double().mean()  # one standard deviation
    assert float(within) == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("views", [1, 2])
def test_views_are_clean_then_noisy(system, views):
    batch = batch_of(system, views=views)
    with_clean = COPIES.perturb(batch, system.forward, system.problem)
    assert with_clean.shape == (4, 24, 4 * views, 6)
    assert torch.equal(with_clean[:, :, :views], batch.X)
    batch = batch_of(system, views=views)
    without = dataclasses.replace(COPIES, clean=False)
    noisy = without.perturb(batch, system.forward, system.problem)
    assert torch.equal(noisy, with_clean[:, :, views:])
    assert len(noisy[0, 0].unique(dim=0)) == 3 * views, "every copy has noise of its own"


def test_bounds_hold_unless_they_are_lifted(system):
    batch = batch_of(system)
    low, high = (torch.as_tensor(system.problem.per_column(k)) for k in ("lower", "upper"))
    wide = GaussianAugmentation(sigma=3.0)
    out = wide.perturb(batch, system.forward, system.problem)
    assert ((out >= low) & (out <= high)).all()
    free = dataclasses.replace(wide, bounded=False)
    out = free.perturb(batch, system.forward, system.problem)
    assert not ((out >= low) & (out <= high)).all()


def test_draws_do_not_depend_on_padding(system):
    full, padded = batch_of(system, rows=20), batch_of(system, rows=26, padding=6)
    a, b = (COPIES.perturb(x, system.forward, system.problem) for x in (full, padded))
    torch.testing.assert_close(a, b[:, :20])


# --- DP-CERT ---


def dp_batch(problem, dropped=None):
    X, y, group = (torch.as_tensor(a[:20]) for a in problem.rows("train"))
    weight = torch.ones(2, 20)
    if dropped is not None:
        weight[:, dropped] = 0
    return Batch(
        X=X.expand(2, *X.shape).unsqueeze(2),
        y=y.expand(2, 20),
        group=group.expand(2, 20),
        weight=weight,
        rows=torch.arange(20).expand(2, 20),
        generators=[torch.Generator().manual_seed(r) for r in range(2)],
    )


def released(problem, engine, batch):
    """The sum of clipped gradients of a batch, {name: [R, *p]}, by the loop's own code."""
    made, params = trainer(problem, (COPIES, CLIP), replicates=2, engine=engine)
    count = batch.weight.sum(1)
    out = loop.batch_gradient(made, params, batch, [], count, memory=[{}, {}])
    return {n: g * made.rule.expected_batch for n, g in out.items()}, params


def by_hand(problem, views, y, params, r, planted):
    """Per-view gradients of one replicate by autograd; their mean is clipped, example by example.

    Planted: every view is clipped by itself and all are summed, so that an example has as many
    contributions as it has views.
    """
    module = TinyMLP().build(problem)
    module.load_state_dict({n: p[r] for n, p in params.items()})
    total = 0.0
    for x, label in zip(views, y, strict=True):
        grads = []
        for view in x:
            loss = F.cross_entropy(module(view.unsqueeze(0)), label.unsqueeze(0))
            grad = torch.autograd.grad(loss, list(module.parameters()))
            grads.append(torch.cat([g.flatten() for g in grad]))
        each = grads if planted else [torch.stack(grads).mean(0)]
        for g in each:
            total = total + g * min(1.0, BOUND / (float(g.norm()) + 1e-6))
    return total, [n for n, _ in module.named_parameters()]


@pytest.mark.parametrize("engine", ["stacked", "opacus"])
@pytest.mark.parametrize("planted", [False, True])
def test_copies_are_averaged_before_they_are_clipped(problem, engine, planted):
    batch = dp_batch(problem)
    views = COPIES.perturb(dp_batch(problem), None, problem)
    total, params = released(problem, engine, batch)
    for r in range(2):
        expected, names = by_hand(problem, views[r], batch.y[r], params, r, planted)
        got = torch.cat([total[n][r].flatten() for n in names])
        assert torch.allclose(got, expected, rtol=1e-3, atol=1e-5) == (not planted)


def test_one_example_moves_the_sum_by_at_most_the_bound(problem):
    whole, params = released(problem, "stacked", dp_batch(problem))
    moves = []
    for i in range(6):
        # the noise of the others stays what it was: rows are only left out of the sum
        batch = dp_batch(problem, dropped=i)
        views = COPIES.perturb(dp_batch(problem), None, problem)
        made, _ = trainer(problem, (CLIP,), replicates=2)
        batch.X = views
        out = loop.batch_gradient(made, params, batch, [], batch.weight.sum(1), memory=[{}])
        rest = {n: g * made.rule.expected_batch for n, g in out.items()}
        flat = torch.cat([(whole[n] - rest[n]).flatten(1) for n in whole], dim=1)
        moves.append(flat.norm(dim=1))
    moves = torch.stack(moves)
    assert (moves <= BOUND * (1 + 1e-4)).all()
    assert moves.max() > 0.9 * BOUND, "the bound is reached, so the check can fail"
    views = COPIES.perturb(dp_batch(problem), None, problem)
    y = dp_batch(problem).y[0]
    a, _ = by_hand(problem, views[0], y, params, 0, planted=True)
    b, _ = by_hand(problem, views[0, 1:], y[1:], params, 0, planted=True)
    assert (a - b).norm() > BOUND * 1.5, "planted: clipped one by one"


def test_beside_dpsgd_its_guarantee_is_dpsgds(problem):
    private = DPSGD(epsilon=5.0, epochs=2, batch_size=32)
    states = [trainer(problem, arm) for arm in ((private, COPIES), (private,))]
    assert states[0][0].rule.facts() == states[1][0].rule.facts()
    ends = [loop.train(*made, ignore).params for made in states]
    assert any((ends[0][n] != ends[1][n]).any() for n in ends[0])
