"""Every plugin, model and engine on a pretended device: nothing is mixed, numbers are equal.

The device computes with the arithmetic of the CPU, so that only what the code does with it can
differ: where tensors are made, where numbers are drawn, which branch is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from tests.contract import golden_values as golden
from tests.contract.conftest import of
from tests.pretended import DEVICE, MixedDevices, pretended
from tests.tables import make_table
from tests.unit.training.test_loop import ignore, trainer
from trustbench.api.checks.opened import opened
from trustbench.contracts import Intervention
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.seeding import Streams
from trustbench.training import loop
from trustbench.training.engine_choice import choose
from trustbench.training.replicates import initial_parameters


@pytest.fixture(scope="module")
def systems(problem):
    """The systems of the golden values, which answer on the device."""
    problems = problem, make_problem(n=900, classes=5, groups=5, seed=1), make_table()
    with pretended():
        two, more, table = (make_system(p, dtype=torch.float64, device=DEVICE) for p in problems)
        return two, more, table, *(opened(s, "channel", "release") for s in (two, table))


@of("intervention", "evaluator")
def test_a_plugin_computes_its_golden_numbers_on_any_device(option, systems):
    compute = golden.of_evaluator if option.kind == "evaluator" else golden.of_intervention
    with pretended() as device:
        numbers = compute(option.plugin, systems)
    assert device.operators, "it computes on the device"
    golden.check(golden.key(option), option.plugin.version, numbers)


def cross_entropy(logits, part):
    return logits.mean(2).logsumexp(-1) - logits.mean(2)[..., 0]


def gradients(model, problem, engine, device):
    """Logits and both kinds of gradients of two replicates, on the CPU."""
    params = initial_parameters(model, problem, 2, Streams(0), device)
    made = choose(engine, model.build(problem), problem, device)
    X = torch.as_tensor(problem.X[problem.splits["train"][:3]], device=device)
    together = X.expand(2, *X.shape).unsqueeze(2)
    plain = made.gradient(params, together, cross_entropy).total
    clipped = made.gradient(params, together, cross_entropy, lambda norms, _: 1 / (1 + norms)).total
    every = {"logits": made.forward(params, X).detach()}
    every |= {f"plain {n}": t for n, t in plain.items()}
    every |= {f"clipped {n}": t for n, t in clipped.items()}
    return {n: t.detach().cpu() for n, t in every.items()}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["stacked", "opacus"])
@of("model")
def test_a_model_trains_on_any_device_with_every_engine(option, engine, problem, image_problem):
    model = option.plugin
    taken = next(p for p in (problem, image_problem) if model.supports(p) is None)
    expected = gradients(model, taken, engine, torch.device("cpu"))
    with pretended() as device:
        found = gradients(model, taken, engine, DEVICE)
    assert device.operators
    for name, t in expected.items():  # tanh on a device is torch's own, which rounds differently
        torch.testing.assert_close(found[name], t, rtol=1e-4, atol=1e-6, msg=name)


@dataclass(frozen=True)
class Planted(Intervention):
    """Moves the inputs by what `mistake` makes of them."""

    mistake: Callable[[torch.Tensor, torch.Generator], torch.Tensor]
    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS

    def perturb(self, batch, forward, problem):
        return batch.X + self.mistake(batch.X, batch.generators[0])


MISTAKES = {
    "drawn on the device": lambda X, g: torch.rand(X.shape, generator=g, device=X.device),
    "drawn on the CPU and not copied": lambda X, g: torch.rand(X.shape, generator=g),
    "a constant of the CPU": lambda X, g: torch.ones(X.shape[1:]),
    "through numpy": lambda X, g: torch.as_tensor(np.sign(X.numpy()), device=X.device),
    "a weight of the CPU in a product": lambda X, g: X @ torch.eye(X.shape[-1]),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_planted_mismatch_fails(problem, mistake):
    loop.train(*trainer(problem, [Planted(lambda X, g: 0 * X)], replicates=2), ignore)
    with pretended():
        made, params = trainer(problem, [Planted(mistake)], replicates=2, device=DEVICE)
        with pytest.raises(MixedDevices):
            loop.train(made, params, ignore)
