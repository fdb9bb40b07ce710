"""Every engine computes the same gradients; Opacus (hooks and ghost) is the oracle."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from opacus import GradSampleModule
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import nn

from tests.conftest import make_problem
from trustbench.errors import ConfigError
from trustbench.training.engine_choice import choose, is_linear_chain
from trustbench.training.engines import stack
from trustbench.training.functional import FunctionalEngine
from trustbench.training.linear_chain import LinearChainEngine, tanh
from trustbench.training.opacus_engine import OpacusEngine

R, B, C = 3, 7, 4


def mlp():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, C)
    )


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(48, C)
    )


CASES = {"mlp": (mlp, (12,)), "cnn": (cnn, (1, 3, 4))}


def make(case, views=1, seed=0):
    build, shape = CASES[case]
    torch.manual_seed(seed)
    modules = [build().double() for _ in range(R)]
    X = torch.randn(R, B, views, *shape, dtype=torch.float64)
    y = torch.randint(C, (R, B))
    weight = torch.rand(R, B, dtype=torch.float64)
    weight[:, -1] = 0  # a padded row

    def loss(logits, part):
        flat = F.cross_entropy(
            logits.reshape(-1, C),
            y[part].unsqueeze(2).expand(logits.shape[:3]).reshape(-1),
            reduction="none",
        )
        return flat.view(logits.shape[:3]).mean(2) * weight[part]

    return modules, shape, X, loss, y, weight


def engines_for(case, modules, shape):
    found = [FunctionalEngine(modules[0], shape, "test"), OpacusEngine(modules[0], shape, "test")]
    if is_linear_chain(modules[0]):
        found.append(LinearChainEngine(modules[0], shape, "test"))
    return found


def clip(bound):
    return lambda norms, _: (bound / (norms + 1e-6)).clamp(max=1.0)


def clipped_sum(module, losses, bound):
    """The gradients of losses, one backward for each, clipped to `bound` and added up."""
    total = {n: torch.zeros_like(p) for n, p in module.named_parameters()}
    for value in losses:
        grads = torch.autograd.grad(value, list(module.parameters()))
        norm = torch.stack([g.square().sum() for g in grads]).sum().sqrt()
        factor = 1.0 if bound is None else min(1.0, bound / (float(norm) + 1e-6))
        for name, g in zip(total, grads, strict=True):
            total[name] += factor * g
    return total


def per_example_reference(module, X, loss, r, bound):
    """One backward per example: slow, and independent of every engine."""

    def one(b):
        logits = torch.stack([module(X[r, i]) for i in range(B)]).unsqueeze(0)
        return loss(logits, slice(r, r + 1))[0, b]

    return clipped_sum(module, map(one, range(B)), bound)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("bound", [None, 0.05])
def test_every_engine_agrees_with_one_backward_per_example(case, views, bound):
    modules, shape, X, loss, *_ = make(case, views)
    params = stack(modules)
    for engine in engines_for(case, modules, shape):
        coefficients = None if bound is None else clip(bound)
        total = engine.gradient(params, X, loss, coefficients).total
        for r, module in enumerate(modules):
            expected = per_example_reference(module, X, loss, r, bound)
            for name, value in expected.items():
                torch.testing.assert_close(total[name][r], value, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_forward_is_each_module_and_differentiable_in_the_input(case):
    modules, shape, X, *_ = make(case)
    x = X[0, :, 0].clone().requires_grad_()
    expected = torch.stack([m(x) for m in modules])
    (want,) = torch.autograd.grad(expected.square().sum(), x)
    for engine in engines_for(case, modules, shape):
        shared = engine.forward(stack(modules), x)
        torch.testing.assert_close(shared, expected, rtol=1e-12, atol=1e-12)
        own = engine.forward(stack(modules), x.expand(R, *x.shape))
        torch.testing.assert_close(own, expected, rtol=1e-12, atol=1e-12)
        (got,) = torch.autograd.grad(shared.square().sum(), x)
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


def opacus_training(build, shape, batches, noise, bound, sigma, lr, ghost):
    """A whole training by Opacus' own optimisers, on given batches and given noise."""
    torch.manual_seed(5)
    module = build().double()
    wrap = GradSampleModuleFastGradientClipping if ghost else GradSampleModule
    kwargs = {"max_grad_norm": bound, "use_ghost_clipping": True} if ghost else {}
    wrapped = wrap(module, loss_reduction="mean", **kwargs)
    kind = DPOptimizerFastGradientClipping if ghost else DPOptimizer
    optimiser = kind(
        torch.optim.SGD(wrapped.parameters(), lr=lr),
        noise_multiplier=sigma,
        max_grad_norm=bound,
        expected_batch_size=B,
    )
    criterion = nn.CrossEntropyLoss()
    if ghost:
        criterion = DPLossFastGradientClipping(wrapped, optimiser, criterion)
    for (X, y), z in zip(batches, noise, strict=True):
        named = dict(module.named_parameters())

        def add_noise(z=z, named=named):
            for name, p in named.items():
                p.grad = (p.summed_grad + sigma * bound * z[name]).view_as(p)

        optimiser.add_noise = add_noise
        optimiser.zero_grad()
        criterion(wrapped(X), y).backward()
        optimiser.step()
    return {n: p.detach() for n, p in module.named_parameters()}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ghost", [False, True], ids=["hooks", "ghost"])
@pytest.mark.parametrize("planted", [1.0, 1.01], ids=["equal", "planted"])
def test_a_dp_training_ends_in_the_parameters_of_opacus(case, ghost, planted):
    """Same batches, same noise: equal to 1e-12 in float64; a bound that is 1 % off is caught."""
    build, shape = CASES[case]
    bound, sigma, lr, steps = 0.3, 0.8, 0.7, 12
    g = torch.Generator().manual_seed(1)
    batches = [
        (
            torch.randn(B, *shape, generator=g, dtype=torch.float64),
            torch.randint(C, (B,), generator=g),
        )
        for _ in range(steps)
    ]
    torch.manual_seed(5)
    module = build().double()
    noise = [
        {
            n: torch.randn(p.shape, generator=g, dtype=torch.float64)
            for n, p in module.named_parameters()
        }
        for _ in range(steps)
    ]
    expected = opacus_training(build, shape, batches, noise, bound, sigma, lr, ghost)
    for engine in engines_for(case, [module], shape):
        params = stack([module])
        for (X, y), z in zip(batches, noise, strict=True):

            def loss(logits, part, y=y):
                return F.cross_entropy(logits[0, :, 0], y, reduction="none").unsqueeze(0)

            total = engine.gradient(params, X[None, :, None], loss, clip(bound * planted)).total
            for name, p in params.items():
                p -= lr * (total[name] + sigma * bound * z[name]) / B
        gap = max(float((params[n][0] - expected[n]).abs().max()) for n in expected)
        if planted == 1.0:
            assert gap < 1e-12
        else:
            assert gap > 1e-4


def test_auto_stacks_chains_and_loops_over_convolutions_on_a_cpu():
    flat = make_problem(d=12)
    problem = dataclasses.replace(flat, X=flat.X.reshape(-1, 1, 3, 4))
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert isinstance(choose("auto", mlp(), problem, cpu), LinearChainEngine)
    assert isinstance(choose("auto", cnn(), problem, cpu), OpacusEngine)
    assert isinstance(choose("auto", cnn(), problem, cuda), FunctionalEngine)
    assert isinstance(choose("stacked", cnn(), problem, cpu), FunctionalEngine)
    assert isinstance(choose("opacus", mlp(), problem, cpu), OpacusEngine)
    assert "slower" in choose("auto", cnn(), problem, cpu).why


def test_a_chain_does_nothing_but_call_each_of_its_layers_once():
    class Doubled(nn.Sequential):
        def forward(self, x):
            return 2 * super().forward(x)

    act = nn.Tanh()
    hooked = nn.Linear(12, C)
    hooked.register_forward_pre_hook(lambda _module, inputs: (inputs[0] + 1,))
    assert is_linear_chain(nn.Sequential(nn.Linear(12, 9), nn.Dropout(0.5), nn.Linear(9, C)))
    assert not is_linear_chain(Doubled(nn.Linear(12, C)))
    assert not is_linear_chain(nn.Sequential(hooked))
    assert not is_linear_chain(
        nn.Sequential(nn.Linear(12, 9), act, nn.Linear(9, 9), act, nn.Linear(9, C))
    )


def test_batchnorm_is_refused_with_the_reason(problem):
    with pytest.raises(ConfigError, match=r"'1' .* BatchNorm, which couples the examples"):
        choose(
            "auto", nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)), problem, torch.device("cpu")
        )


def test_no_per_sample_tensor_is_left_behind_by_the_opacus_engine():
    modules, shape, X, loss, *_ = make("mlp")
    engine = OpacusEngine(modules[0], shape, "test")
    first = engine.gradient(stack(modules), X, loss, clip(0.1)).total
    engine.forward(stack(modules), X[:, :, 0])
    second = engine.gradient(stack(modules), X, loss, clip(0.1)).total
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_tanh_is_torchs_to_rounding_and_differentiable_twice():
    x = torch.linspace(-30, 30, 4001, dtype=torch.float64)
    np.testing.assert_allclose(tanh(x), torch.tanh(x), atol=4e-16)
    x = torch.randn(20, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(tanh, x)
    assert torch.autograd.gradgradcheck(tanh, x)
