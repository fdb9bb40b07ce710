"""Modules that are random, that mix a batch, or that change in training: refused by name."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.conftest import make_problem
from trustbench.errors import ConfigError
from trustbench.training.engine_choice import choose
from trustbench.training.module_checks import refuse_unsteady

CPU = torch.device("cpu")


class Layer(nn.Module):
    """A layer of somebody's, around one function of itself and its inputs."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x):
        return self.function(self, x)


def net(function):
    return nn.Sequential(nn.Linear(6, 8), Layer(function), nn.Linear(8, 2))


def running(layer, x):
    if layer.training:
        layer.mean.lerp_(x.mean(0), 0.1)
    return x - layer.mean


REFUSED = {
    "always random": (lambda _, x: F.dropout(x, 0.5), "random numbers in evaluation mode"),
    "random by numpy": (
        lambda _, x: x + float(torch.from_numpy(_numpy(1))),
        "random numbers in evaluation mode",
    ),
    "random in training": (
        lambda m, x: F.dropout(x, 0.5, m.training),
        "random numbers in training that do not come from a named stream",
    ),
    "noise in training": (
        lambda m, x: x + torch.randn_like(x) * m.training,
        "random numbers in training",
    ),
    "batch mean": (
        lambda _, x: x - x.mean(0),
        "couples the examples of a batch in evaluation mode",
    ),
    "batch mean in training": (
        lambda m, x: x - x.mean(0) if m.training else x,
        "couples the examples of a batch in training mode",
    ),
    "running mean": (running, "changes its buffer 'mean' in training"),
}


def _numpy(count):
    import numpy as np

    return np.random.default_rng().normal(size=count)


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("engine", ["auto", "stacked", "opacus"])
def test_a_module_that_is_not_steady_is_refused_with_its_layer(case, engine, problem):
    function, says = REFUSED[case]
    with pytest.raises(ConfigError, match=r"layer '1' \(Layer\) ") as refusal:
        choose(engine, net(function), problem, CPU)
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.AlphaDropout(0.5), r"'1' \(AlphaDropout\) draws random numbers in training"),
        (nn.RReLU(), r"'1' \(RReLU\) draws random numbers in training"),
        (nn.BatchNorm1d(8), r"'1' \(BatchNorm1d\) .* replace it with GroupNorm"),
        (nn.Softmax(dim=0), r"'1' \(Softmax\) couples the examples of a batch in evaluation"),
    ],
)
def test_layers_of_torchs_are_refused_by_name(layer, says, problem):
    with pytest.raises(ConfigError, match=says):
        choose("auto", nn.Sequential(nn.Linear(6, 8), layer, nn.Linear(8, 2)), problem, CPU)


def test_statistics_that_run_are_refused_and_those_of_one_example_are_not(problem):
    image = dataclasses.replace(problem, X=problem.X.reshape(-1, 2, 3))
    for running_statistics in (True, False):
        norm = nn.InstanceNorm1d(2, track_running_stats=running_statistics)
        made = nn.Sequential(norm, nn.Flatten(), nn.Linear(6, 2))
        if running_statistics:
            with pytest.raises(ConfigError, match=r"'0' \(InstanceNorm1d\) changes its buffer"):
                refuse_unsteady(made, image)
            assert not made[0].running_mean.any(), "the caller's buffers are put back"
        else:
            refuse_unsteady(made, image)


def test_randomness_outside_of_a_layer_is_the_models(problem):
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(6, 2)

        def forward(self, x):
            return F.dropout(self.inner(x), 0.5, self.training)

    with pytest.raises(ConfigError, match=r"Whole \(the model\) draws random numbers in training"):
        refuse_unsteady(Whole(), problem)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_attention_that_drops_inside_is_refused_until_it_is_switched_off(dropout):
    problem = make_problem(d=8)
    block = nn.TransformerEncoderLayer(4, 2, 8, dropout=dropout, batch_first=True)
    block.dropout, block.dropout1, block.dropout2 = (nn.Dropout(0.1) for _ in range(3))
    made = nn.Sequential(nn.Unflatten(1, (2, 4)), block, nn.Flatten(), nn.Linear(8, 2))
    if dropout:
        with pytest.raises(ConfigError, match=r"'1\.self_attn'|'1' .*random numbers"):
            refuse_unsteady(made, problem)
    else:
        refuse_unsteady(made, problem)


def test_the_probe_leaves_the_global_generator_alone(problem):
    made = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    before = torch.random.get_rng_state()
    refuse_unsteady(made, problem)
    assert torch.equal(torch.random.get_rng_state(), before)
