"""Frozen parameters of a module (`requires_grad=False`): never trained, clipped or noised."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from tests.unit.arm_toys import run, toy_arm
from tests.unit.training.dropout_models import ENGINES, trained
from tests.unit.training.test_engines import CASES, clip, engines_for, make, per_example_reference
from trustbench.config.arms import Chosen
from trustbench.contracts import Model
from trustbench.contracts.seeding import Streams
from trustbench.errors import ConfigError
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.robustness.fgsm_rs import FGSMRandomStart
from trustbench.training.engines import stack
from trustbench.training.replicates import initial_parameters

FROZEN = {"mlp": ("1.weight", "1.bias", "5.bias"), "cnn": ("0.weight", "1.bias", "4.weight")}


def freeze(module, names):
    for name, p in module.named_parameters():
        p.requires_grad_(name not in names)
    return module


@dataclass(frozen=True)
class Features(Model):
    """Random features under a trained head: the first layer and one bias stay as they are."""

    whole: bool = False

    def build(self, problem):
        net = nn.Sequential(
            nn.Flatten(), nn.Linear(problem.n_features, 24), nn.Tanh(), nn.Linear(24, 8), nn.ReLU(),
            nn.Linear(8, 2),
        )  # fmt: skip
        names = [n for n, _ in net.named_parameters()] if self.whole else HELD
        return freeze(net, names)


HELD = ("1.weight", "1.bias", "5.bias")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("bound", [None, 0.05])
def test_every_engine_sums_and_clips_over_the_trained_parameters_only(case, views, bound):
    modules, shape, X, loss, *_ = make(case, views)
    for module in modules:
        freeze(module, FROZEN[case])
    params = stack(modules)
    coefficients = None if bound is None else clip(bound)
    expected = [_reference(m, X, loss, r, bound) for r, m in enumerate(modules)]
    names = set(params) - set(FROZEN[case])
    for engine in engines_for(case, modules, shape):
        assert engine.trained == names
        total = engine.gradient(params, X, loss, coefficients).total
        assert set(total) == names
        for r, each in enumerate(expected):
            for name in names:
                torch.testing.assert_close(total[name][r], each[name], rtol=1e-11, atol=1e-12)
    if bound is not None:  # planted error: norms over all parameters clip harder
        free = [freeze(m, ()) for m in modules]
        wrong = per_example_reference(free[0], X, loss, 0, bound)
        assert any(not torch.allclose(wrong[n], expected[0][n], rtol=1e-3) for n in names)


def _reference(module, X, loss, r, bound):
    """One backward per example over the trained parameters; the frozen ones as constants."""
    own = {n: p for n, p in module.named_parameters() if p.requires_grad}
    total = {n: torch.zeros_like(p) for n, p in own.items()}
    for b in range(X.shape[1]):
        logits = torch.stack([module(X[r, i]) for i in range(X.shape[1])]).unsqueeze(0)
        grads = torch.autograd.grad(loss(logits, slice(r, r + 1))[0, b], list(own.values()))
        norm = torch.stack([g.square().sum() for g in grads]).sum().sqrt()
        factor = 1.0 if bound is None else min(1.0, bound / (float(norm) + 1e-6))
        for name, g in zip(total, grads, strict=True):
            total[name] += factor * g
    return total


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("method", [None, FGSMRandomStart(), DPSGD(epsilon=8.0, batch_size=32)])
def test_a_training_moves_what_is_free_and_nothing_else(problem, engine, method):
    start = initial_parameters(Features(), problem, 4, Streams(0), torch.device("cpu"))
    end = trained(problem, Features(), engine, [method] if method else []).params
    for name, value in end.items():
        assert torch.equal(value, start[name]) == (name in HELD), name
    if method is None or engine == "chain":
        return
    chain = trained(problem, Features(), "chain", [method]).params
    for name, value in chain.items():
        torch.testing.assert_close(end[name], value, rtol=1e-3, atol=1e-4)


def test_a_model_that_is_frozen_whole_is_refused(tmp_path, monkeypatch):
    arm = replace(toy_arm(tmp_path, monkeypatch), model=Chosen("mine", Features(whole=True)))
    with pytest.raises(ConfigError, match="all its parameters are frozen"):
        run(arm)


def test_an_arm_of_a_frozen_model_is_measured(tmp_path, monkeypatch):
    arm = replace(toy_arm(tmp_path, monkeypatch), model=Chosen("mine", Features()))
    dp = Chosen("dpsgd", DPSGD(epsilon=8.0, epochs=4, batch_size=32))
    record, _ = run(replace(arm, interventions=(dp,)))
    assert record.status == "ok"
    assert record.privacy[0].epsilon <= 8.0
