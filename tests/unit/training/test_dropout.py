"""A module's own dropout: named masks in training, the same bits everywhere, off in evaluation."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.arm_toys import run, toy_arm
from tests.unit.training.dropout_models import ENGINES, MODULES, Thinned, trained
from tests.unit.training.test_engines import B, C, R, clip, clipped_sum, make
from tests.unit.training.test_loop import CPU
from trustbench.config.arms import Chosen
from trustbench.contracts import Model
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.robustness.pgd_at import PGDAdversarialTraining
from trustbench.interventions.uncertainty.mc_dropout import MCDropout
from trustbench.store.digests import values_digest
from trustbench.store.records import Store
from trustbench.training import dropout, fits
from trustbench.training.engines import stack
from trustbench.training.linear_chain import LinearChainEngine


def with_masks(module, masks, x):
    """The module's logits of one example x [V, *shape] with given masks {use: [V, *unit]}."""
    turns = {}

    def scale(name):
        def hook(_module, inputs, _out):
            k = turns[name] = turns.get(name, -1) + 1
            return inputs[0] * masks[f"{name}.{k}"]

        return hook

    layers = dropout.layers(module)
    hooks = [m.register_forward_hook(scale(name)) for name, m in layers.items()]
    out = module.eval()(x)
    for hook in hooks:
        hook.remove()
    return out


@pytest.mark.parametrize("bound", [None, 0.05])
@pytest.mark.parametrize("case", MODULES)
def test_every_engine_agrees_with_one_backward_per_example(case, bound):
    """Each example and each view with a mask of its own; no engine, no vmap in the reference."""
    _, shape, X, loss, *_ = make("mlp", views=3)
    torch.manual_seed(0)
    modules = [MODULES[case]().double() for _ in range(R)]
    params, places = stack(modules), dropout.places(modules[0].float(), shape)
    modules = [m.double() for m in modules]
    assert len(places) == (1 if case == "channels" else 2)
    generators = [torch.Generator().manual_seed(r) for r in range(R)]
    masks = dropout.drawn(places, torch.ones(R, B, dtype=torch.bool), 3, generators)
    assert {m.unique().numel() for m in masks.values()} == {2}
    for engine in ENGINES.values():
        if engine is LinearChainEngine and case != "chain":
            continue
        made = engine(modules[0], shape, "test")
        coefficients = None if bound is None else clip(bound)
        total = made.gradient(params, X, loss, coefficients, masks).total
        plain = made.gradient(params, X, loss, coefficients).total
        for r, module in enumerate(modules):
            expected = clipped_sum(module, map(_loss(module, masks, X, loss, r), range(B)), bound)
            for name, value in expected.items():
                torch.testing.assert_close(total[name][r], value, rtol=1e-10, atol=1e-11)
        # planted error: an engine that leaves the masks out
        assert max(float((total[n] - plain[n]).abs().max()) for n in plain) > 1e-3


def _loss(module, masks, X, loss, r):
    def one(b):
        logits = torch.zeros(1, B, 3, C, dtype=X.dtype)
        logits[0, b] = with_masks(module, {n: m[r, b] for n, m in masks.items()}, X[r, b])
        return loss(logits, slice(r, r + 1))[0, b]

    return one


@pytest.mark.parametrize(
    "method", [None, DPSGD(epsilon=8.0, batch_size=32), PGDAdversarialTraining(), MCDropout()]
)
def test_two_trainings_are_the_same_bits_under_every_engine(problem, method):
    """And the engines end in the same parameters: masks are named, not drawn where they fall."""
    methods = [method] if method else []
    ends = {}
    for engine in ENGINES:
        first, second = (trained(problem, Thinned(), engine, methods).best for _ in range(2))
        assert all(torch.equal(first[n], second[n]) for n in first), engine
        ends[engine] = first
    for other in ("functional", "opacus"):
        for name, value in ends["chain"].items():
            torch.testing.assert_close(ends[other][name], value, rtol=1e-3, atol=1e-4)
    without = trained(problem, Thinned(0.0), "chain", methods).best
    assert any(float((without[n] - ends["chain"][n]).abs().max()) > 1e-2 for n in without)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_resumed_training_meets_the_masks_it_should(problem, engine, tmp_path):
    whole = trained(problem, Thinned(), engine)

    class Killed(Exception):
        pass

    def killed(state):
        fits.write_checkpoint(tmp_path, state)
        raise Killed

    with pytest.raises(Killed):
        trained(problem, Thinned(), engine, checkpoint=killed, checkpoint_s=0.0)
    state = fits.read_checkpoint(tmp_path, CPU)
    assert state.epoch == 1
    again = trained(problem, Thinned(), engine, resume=state)
    assert all(torch.equal(again.params[n], whole.params[n]) for n in whole.params)


def test_a_replicates_masks_do_not_depend_on_the_others(problem):
    two, four = (trained(problem, Thinned(), "chain", replicates=k) for k in (2, 4))
    assert all(torch.allclose(two.params[n], four.params[n][:2], atol=1e-6) for n in two.params)


@pytest.mark.parametrize("engine", ENGINES)
def test_frozen_weights_have_one_accuracy_whatever_the_rate(problem, engine):
    """The reproduction: .969, .928 and .805 at p = 0, .5 and .9 when dropout stayed on."""
    params = trained(problem, Thinned(0.0), engine).best
    X = torch.as_tensor(problem.rows("test")[0])
    y = torch.as_tensor(problem.rows("test")[1])
    outs = [
        ENGINES[engine](Thinned(rate).build(problem).train(), problem.shape, "test").forward(
            params, X
        )
        for rate in (0.0, 0.5, 0.9)
    ]
    accuracy = [(out.argmax(-1) == y).float().mean().item() for out in outs]
    assert accuracy[0] > 0.8
    assert accuracy == [accuracy[0]] * 3
    assert torch.equal(outs[0], outs[1])
    assert torch.equal(outs[0], outs[2])


class Spy(nn.Module):
    """Notes the mode of every pass."""

    modes: ClassVar[list[bool]] = []

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 2))

    def forward(self, x):
        self.modes.append(self.training)
        assert all(m.training == self.training for m in self.inner)
        return self.inner(x)


class Spied(Model):
    def build(self, problem):
        return Spy()


@pytest.mark.parametrize("engine", ["functional", "opacus"])
@pytest.mark.parametrize("method", [PGDAdversarialTraining(), DPSGD(epsilon=8.0, batch_size=32)])
def test_only_the_gradient_of_a_training_step_runs_in_training_mode(
    problem, engine, method, monkeypatch
):
    kind = ENGINES[engine]
    inside = []

    def during(name, wanted):
        plain = getattr(kind, name)

        def call(self, *args, **kwargs):
            before = len(Spy.modes)
            out = plain(self, *args, **kwargs)
            seen = Spy.modes[before:]
            assert seen
            assert all(mode is wanted for mode in seen), name
            inside.append(name)
            return out

        monkeypatch.setattr(kind, name, call)

    during("forward", wanted=False)  # validation, attacks of `perturb`, snapshots, deployment
    during("gradient", wanted=True)
    trained(problem, Spied(), engine, [method])
    assert {"forward", "gradient"} <= set(inside)


def test_the_callers_module_is_left_as_it_was(problem):
    module = Thinned().build(problem).train()
    before = [(n, type(m), m.training) for n, m in module.named_modules()]
    numbers = {n: p.clone() for n, p in module.named_parameters()}
    for engine in ENGINES.values():
        made = engine(module, problem.shape, "test")
        made.forward(stack([module]), torch.as_tensor(problem.X[:3]))
    assert [(n, type(m), m.training) for n, m in module.named_modules()] == before
    for name, p in module.named_parameters():
        np.testing.assert_array_equal(p.detach(), numbers[name].detach())


@pytest.mark.parametrize("engine", ["auto", "stacked", "opacus"])
@pytest.mark.parametrize("model", [Thinned(), Spied()], ids=["chain", "module"])
def test_two_runs_of_an_arm_with_dropout_are_the_same_bits(engine, model, tmp_path, monkeypatch):
    found = set()
    for folder in ("first", "second"):
        arm = toy_arm(tmp_path / folder, monkeypatch)
        arm = replace(arm, model=Chosen("mine", model), engine=engine)
        torch.rand(3)  # wherever the global generator stands
        record, _ = run(arm)
        store = Store(arm.output_dir)
        found.add((record.id, values_digest(record, store.arrays(record.id))))
    assert len(found) == 1
