"""Training that diverges is one sentence, in every engine, whatever is not finite."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from trustbench.arms import Protocol
from trustbench.contracts import Model, Schedule
from trustbench.errors import TrainingDiverged
from trustbench.interventions.dpsgd import DPSGD
from trustbench.seeding import Streams
from trustbench.training import loop
from trustbench.training.choice import choose
from trustbench.training.functional import FunctionalEngine
from trustbench.training.linear_chain import LinearChainEngine
from trustbench.training.opacus_engine import OpacusEngine
from trustbench.training.replicates import initial_parameters, membership
from trustbench.training.state import Trainer

CPU = torch.device("cpu")
SCHEDULE = Schedule("tuned", epochs=2, batch_size=32, lr=0.01, momentum=0.9)


class Linear(Model):
    def build(self, problem):
        return nn.Sequential(nn.Flatten(), nn.Linear(problem.n_features, len(problem.classes)))


class Module(nn.Module):
    """A module that is not a chain of layers."""

    def __init__(self, problem):
        super().__init__()
        self.last = nn.Linear(problem.n_features, len(problem.classes))

    def forward(self, x):
        return self.last(x.flatten(1)) + 0.0


class Any(Model):
    def build(self, problem):
        return Module(problem)


ENGINES = {
    "chain": (Linear(), "stacked", LinearChainEngine),
    "functional": (Any(), "stacked", FunctionalEngine),
    "opacus": (Any(), "opacus", OpacusEngine),
}


def trained(problem, engine, schedule=SCHEDULE, scale=1.0, huge=(), method=None):
    model, asked, cls = ENGINES[engine]
    streams = Streams(0)
    made = choose(asked, model.build(problem), problem, CPU)
    assert type(made) is cls
    inside = membership(problem, Protocol(replicates=4), streams)
    rule = method.gradient(schedule, int(inside.sum(1).min())) if method else None
    trainer = Trainer(
        problem=problem,
        engine=made,
        interventions=[method] if method else [],
        schedule=rule.schedule if rule else schedule,
        rule=rule,
        membership=inside,
        streams=streams,
        device=CPU,
        patience=10,
    )
    params = initial_parameters(model, problem, 4, streams, CPU)
    for p in params.values():
        p *= scale
        p[list(huge)] = 3e38
    return loop.train(trainer, params, lambda *_: None)


@pytest.mark.parametrize("engine", ENGINES)
def test_parameters_that_are_not_finite_name_the_epoch_and_the_learning_rate(problem, engine):
    with pytest.raises(TrainingDiverged) as caught:
        trained(problem, engine, replace(SCHEDULE, lr=3e38))
    assert str(caught.value) == (
        "4 of 4 replicates diverged (parameters that are not finite in epoch 1; replicates: all); "
        "give a training.lr below 3e+38."
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loss_that_is_not_finite_is_told_though_parameters_are(problem, engine):
    """An infinite loss is not below any other: the untrained replicate would be deployed."""
    X = problem.X.copy()
    X[problem.splits["validation"]] *= np.float32(1e37)
    with pytest.raises(TrainingDiverged, match=r"a validation loss that is not finite in epoch 1"):
        trained(replace(problem, X=X), engine, scale=1e3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("split", ["calibration", "test"])
def test_outputs_that_are_not_finite_on_other_rows_are_told(problem, engine, split):
    X = problem.X.copy()
    X[problem.splits[split][:1]] = np.float32(3e38)
    with pytest.raises(TrainingDiverged, match=f"outputs that are not finite on {split} rows"):
        trained(replace(problem, X=X), engine, scale=1e3)


def test_a_method_with_a_learning_rate_of_its_own_is_named_as_its_place(problem):
    method = DPSGD(epsilon=50.0, epochs=1, batch_size=32, lr=3e38)
    with pytest.raises(
        TrainingDiverged, match=r"give the method an lr below 3e\+38 \(training\.lr"
    ):
        trained(problem, "chain", method=method)


def test_replicates_that_diverged_are_named(problem):
    with pytest.raises(TrainingDiverged, match=r"^2 of 4 replicates .*; replicates: 1, 3\)") as e:
        trained(problem, "chain", huge=(1, 3))
    assert e.value.failed == (1, 3)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_training_that_ends_well_is_not_refused(problem, engine):
    assert trained(problem, engine).epoch == 2
