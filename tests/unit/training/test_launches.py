"""What a training step asks of a GPU: how many operators it launches, waits for and copies.

Counted on a pretended device. Launching costs about as much as computing for small networks, so
the replicates of a stacked engine share their operators, however many they are.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.pretended import DEVICE, pretended
from tests.unit.training.test_loop import SCHEDULE, ignore, trainer
from trustbench.api.checks.cheap import cheap
from trustbench.config.compose import conf_dir
from trustbench.config.plugins import build, discover
from trustbench.config.yaml_file import read_yaml
from trustbench.contracts import Model
from trustbench.contracts.seeding import Streams
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.training import loop

SHORT = replace(SCHEDULE, epochs=1, batch_size=32)


class TinyCNN(Model):
    def build(self, problem):
        layers = nn.Unflatten(1, (1, problem.n_features)), nn.Conv1d(1, 4, 3), nn.GroupNorm(2, 4)
        return nn.Sequential(*layers, nn.Tanh(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 2))


def methods():
    """Every intervention that trains other replicates, at cheap settings."""
    found = []
    for name, path in discover("intervention", [conf_dir()]).items():
        node = read_yaml(path, "the option")
        made = build("intervention", name, node[name], name) if name in node else None
        # a first fit is asked once, replicate by replicate, before the steps
        if made is not None and made.retrains and not made.first_fit:
            changes = {"epochs": 1, "batch_size": 32, "noise": "seeded"}
            own = {k: v for k, v in changes.items() if hasattr(made, k)}
            found.append(pytest.param([replace(cheap(made), **own)], id=name))
    return [pytest.param([], id="none"), *found]


def trained(problem, interventions, replicates, schedule=SHORT, model=None):
    """What one epoch did on the device."""
    with pretended() as device:
        made, params = trainer(
            problem, interventions, schedule, replicates, "stacked", model, device=DEVICE
        )
        device.reset()
        loop.train(made, params, ignore)
    return device


# Their views differ by a small step, which the masks of a dropout layer, of a view each, drown.
FINITE_DIFFERENCES = ("input_gradient_penalty", "llr")
# Their causal model computes on the host, so every step waits for it.
ON_HOST = ("cal", "cal_as_published", "capify")


def with_sensitive_input(problem):
    """The problem, with its first input as the sensitive category."""
    first = replace(problem.features[0], name=problem.group_name, kind="categorical")
    return replace(problem, features=(first, *problem.features[1:]))


@pytest.mark.parametrize("model", [None, TinyCNN()], ids=["chain", "functional"])
@pytest.mark.parametrize("interventions", methods())
def test_steps_share_their_operators_and_never_wait(problem, interventions, model):
    """Three times the replicates launch as much; twice the steps wait as often: in validation."""
    names = {type(i).__module__.rpartition(".")[2] for i in interventions}
    if names & {*ON_HOST} or (model is not None and names & {*FINITE_DIFFERENCES, "ibp"}):
        pytest.skip("waits for its causal model, or not for a network like this")
    if any(i.supports(problem, SHORT) for i in interventions):
        problem = with_sensitive_input(problem)
    few, many = (trained(problem, interventions, R, model=model) for R in (2, 6))
    assert few.operators == many.operators
    halved = [replace(i, batch_size=16) if hasattr(i, "batch_size") else i for i in interventions]
    longer = trained(problem, halved, 2, replace(SHORT, batch_size=16), model)
    assert sum(longer.operators.values()) > 1.3 * sum(few.operators.values()) > 130
    assert few.waits == longer.waits


def test_the_noise_of_a_step_is_one_copy_of_its_parameters():
    rule = DPSGD(epsilon=5.0, epochs=1, batch_size=32).gradient(SHORT, 120)
    R, sizes = 5, {"w": (7, 3), "b": (3,)}
    with pretended() as device:
        total = {n: torch.zeros(R, *s, device=DEVICE) for n, s in sizes.items()}
        made = rule.update(total, [Streams(0).torch("dp_noise", r) for r in range(R)])
        assert (device.copies_in, device.bytes_in) == (1, R * (7 * 3 + 3) * 4)
        on_device = {n: t.cpu() for n, t in made.items()}
    total = {n: torch.zeros(R, *s) for n, s in sizes.items()}
    made = rule.update(total, [Streams(0).torch("dp_noise", r) for r in range(R)])
    assert all(torch.equal(on_device[n], made[n]) for n in sizes)
