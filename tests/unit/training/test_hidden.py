"""Factors on hidden activations: every engine, one backward per example, and nn.Dropout."""

import pytest
import torch
from torch import nn

from tests.unit.models.test_models import MODELS, built, images
from tests.unit.training.test_engines import CASES, B, C, R, clip, clipped_sum, engines_for, make
from trustbench.contracts.seeding import Streams
from trustbench.errors import Unsupported
from trustbench.training import averaging, hidden
from trustbench.training.averaging import Averaged
from trustbench.training.engines import stack
from trustbench.training.functional import FunctionalEngine


def dropped(shape, generator):
    return (torch.rand(shape, generator=generator) >= 0.4).float() / 0.6


def draw(sites, views, rows=B, seed=0):
    generators = [torch.Generator().manual_seed(seed + r) for r in range(R)]
    return hidden.drawn(dropped, sites, torch.ones(R, rows, dtype=torch.bool), views, generators)


def masked(module, factors):
    """The module with these factors, by plain hooks on its activations; rows are not stacked."""
    return [
        module.get_submodule(name).register_forward_hook(lambda m, i, out, f=f: out * f)
        for name, f in factors.items()
    ]


def reference(module, X, loss, r, bound, factors):
    """One backward per example, each with its own masks; no engine, no vmap."""

    def one(b):
        hooks = masked(module, {name: f[r, b] for name, f in factors.items()})
        out = module(X[r, b])
        for hook in hooks:
            hook.remove()
        logits = torch.zeros(1, B, *out.shape, dtype=out.dtype)
        logits[0, b] = out
        return loss(logits, slice(r, r + 1))[0, b]

    return clipped_sum(module, map(one, range(B)), bound)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("bound", [None, 0.05])
def test_every_engine_agrees_with_one_backward_per_example(case, views, bound):
    modules, shape, X, loss, *_ = make(case, views)
    params = stack(modules)
    for engine in engines_for(case, modules, shape):
        factors = draw(engine.sites, views)
        coefficients = None if bound is None else clip(bound)
        total = engine.gradient(params, X, loss, coefficients, factors).total
        plain = engine.gradient(params, X, loss, coefficients).total
        for r, module in enumerate(modules):
            expected = reference(module, X, loss, r, bound, factors)
            for name, value in expected.items():
                torch.testing.assert_close(total[name][r], value, rtol=1e-11, atol=1e-12)
        # planted error: an engine that leaves the factors out
        assert max(float((total[n] - plain[n]).abs().max()) for n in plain) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_one_example_moves_the_clipped_sum_by_at_most_the_bound(case):
    """What DP-SGD rests on: the others keep their masks, and the sum moves by one clipped term."""
    modules, shape, X, _, y, _ = make(case)
    params = stack(modules)

    def summed(engine, factors, weight):
        def loss(logits, part):
            flat = nn.functional.cross_entropy(
                logits.reshape(-1, C), y[part].reshape(-1), reduction="none"
            )
            return flat.view(logits.shape[:2]) * weight[part]

        return engine.gradient(params, X, loss, clip(0.05), factors).total

    for engine in engines_for(case, modules, shape):
        factors = draw(engine.sites, 1)
        whole = summed(engine, factors, torch.ones(R, B, dtype=torch.float64))
        for b in range(B):
            weight = torch.ones(R, B, dtype=torch.float64)
            weight[:, b] = 0
            other = summed(engine, factors, weight)
            moved = torch.stack([(whole[n] - other[n]).flatten(1).square().sum(1) for n in whole])
            assert (moved.sum(0).sqrt() <= 0.05 * (1 + 1e-9)).all()
            assert (moved.sum(0) > 0).all()


def test_a_mask_of_torchs_dropout_gives_torchs_dropout():
    """nn.Dropout itself (inverted scaling), its mask read off and handed to every engine."""
    torch.manual_seed(0)
    plain = [
        nn.Sequential(nn.Flatten(), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, C)).double()
        for _ in range(R)
    ]
    X, rate = torch.randn(R, B, 12, dtype=torch.float64), 0.3
    masks, logits, grads = [], [], []
    for r, module in enumerate(plain):
        dropout = nn.Dropout(rate)
        oracle = nn.Sequential(*module[:3], dropout, module[3])
        seen = []
        dropout.register_forward_hook(lambda m, i, out, seen=seen: seen.append(out / i[0]))
        out = oracle.train()(X[r])
        masks.append(seen[0].detach())
        logits.append(out.detach())
        grads.append(torch.autograd.grad(out.square().sum(), list(module.parameters())))
    factors = {"2": torch.stack(masks)}
    assert set(factors["2"].round(decimals=6).unique().tolist()) == {0.0, round(1 / 0.7, 6)}
    ours = stack(plain)
    for engine in engines_for("mlp", plain, (12,)):
        assert dict(engine.sites) == {"2": (9,)}
        leaves = {n: p.clone().requires_grad_() for n, p in ours.items()}
        out = engine.forward(leaves, X, factors)
        torch.testing.assert_close(out, torch.stack(logits), rtol=1e-12, atol=1e-12)
        found = torch.autograd.grad(out.square().sum(), list(leaves.values()))
        for k, g in enumerate(found):
            torch.testing.assert_close(g, torch.stack([each[k] for each in grads]))


@pytest.mark.parametrize("case", CASES)
def test_a_factor_of_one_is_no_factor(case):
    modules, shape, X, loss, *_ = make(case)
    params, x = stack(modules), X[:, :, 0]
    for engine in engines_for(case, modules, shape):
        ones = {n: torch.ones(R, 1, *unit) for n, unit in engine.sites.items()}
        assert torch.equal(engine.forward(params, x, ones), engine.forward(params, x))
        whole = {n: f[:, :, None].expand(R, B, 1, *f.shape[2:]) for n, f in ones.items()}
        for bound in (None, clip(0.1)):
            a = engine.gradient(params, X, loss, bound, whole).total
            b = engine.gradient(params, X, loss, bound).total
            assert all(torch.equal(a[n], b[n]) for n in a)


EXPECTED = {"logistic": 0, "mlp": 1, "cnn": 2, "resnet18": 9}


@pytest.mark.parametrize("name", MODELS)
def test_the_sites_of_the_models_that_ship(name):
    problem = images((64,))
    module = built(MODELS[name], problem)
    found = hidden.sites(module, problem.shape)
    assert len(found) == EXPECTED[name]
    if name == "resnet18":  # the stem, and within each block
        assert found["1.relu"] == (64, 8, 8)
        assert found["1.layer4.1.relu"] == (512, 1, 1)
    engine = FunctionalEngine(module, problem.shape, "test")
    if found:  # a factor of zero on the last site leaves the head's bias
        params = stack([module, module])
        last = {n: torch.ones(2, 1, *u) for n, u in found.items()}
        X = torch.as_tensor(problem.X[:3])
        noisy = {n: 2 * f for n, f in last.items()}
        assert not torch.allclose(engine.forward(params, X, noisy), engine.forward(params, X))


def test_the_output_is_not_hidden_and_a_shared_activation_is_refused():
    bounded = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.Tanh())
    assert dict(hidden.sites(bounded, (3,))) == {"1": (4,)}
    act = nn.Tanh()
    shared = nn.Sequential(nn.Linear(3, 3), act, nn.Linear(3, 3), act, nn.Linear(3, 2))
    with pytest.raises(Unsupported, match="'1' 2 times in a pass"):
        hidden.sites(shared, (3,))


def test_padding_draws_nothing_and_has_the_factor_one():
    """A replicate's masks do not depend on how wide the others make the batch."""
    site = {"a": (5,)}
    real = torch.tensor([[True, True, True, False], [True, True, True, True]])
    generators = [torch.Generator().manual_seed(r) for r in range(2)]
    wide = hidden.drawn(dropped, site, real, 2, generators)["a"]
    alone = hidden.drawn(dropped, site, real[:1, :3], 2, [torch.Generator().manual_seed(0)])["a"]
    assert torch.equal(wide[0, :3], alone[0])
    assert (wide[0, 3] == 1).all()
    assert not torch.equal(wide[1, :, 0], wide[1, :, 1])  # views have masks of their own
    assert (
        generators[0].get_state().equal(_after(dropped, (6, 5), torch.Generator().manual_seed(0)))
    )


def _after(draws, shape, generator):
    draws(shape, generator)
    return generator.get_state()


@pytest.mark.parametrize("case", CASES)
def test_the_deployed_network_is_the_mean_of_its_draws(case, monkeypatch):
    modules, shape, X, *_ = make(case)
    x = X[0, :, 0]
    for engine in engines_for(case, modules, shape):
        streams = Streams(3)
        made = [
            Averaged.over(
                engine, stack(modules), dropped, 6, [streams.torch("hidden", r) for r in range(R)]
            )
            for _ in range(2)
        ]
        out = made[0](x)
        assert torch.equal(out, made[1](x)), "draws are made once, from their streams"
        each = []
        for factors in made[0].draws:
            for r, module in enumerate(modules):
                hooks = masked(module, hidden.of_replicate(factors, r))
                each.append(module(x))
                for hook in hooks:
                    hook.remove()
        each = torch.stack(each).unflatten(0, (6, R))
        torch.testing.assert_close(out.exp(), each.softmax(-1).mean(0))
        # planted error: the mean of logits
        assert not torch.allclose(each.mean(0).softmax(-1), out.exp(), atol=1e-4)
        own = made[0](x.expand(R, *x.shape))
        torch.testing.assert_close(own, out, rtol=1e-12, atol=1e-12)
        gradients = []
        for kept in (2**40, 0):  # keep all passes, then run each again
            monkeypatch.setattr(averaging, "KEPT_BYTES", kept)
            leaf = x.clone().requires_grad_()
            gradients.append(torch.autograd.grad(made[0](leaf)[..., 0].sum(), leaf)[0])
        assert torch.equal(*gradients)
        assert gradients[0].abs().sum() > 0
