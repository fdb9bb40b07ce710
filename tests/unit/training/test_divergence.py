"""Diverged training is refused under every engine: parameters, losses or outputs not finite."""

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from tests.unit.training.test_loop import ignore, trainer
from trustbench.contracts import Model, Schedule
from trustbench.errors import TrainingDiverged
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.training import loop
from trustbench.training.functional import FunctionalEngine
from trustbench.training.linear_chain import LinearChainEngine
from trustbench.training.opacus_engine import OpacusEngine

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
    model, name, cls = ENGINES[engine]
    methods = [method] if method else []
    made, params = trainer(problem, methods, schedule, engine=name, model=model)
    assert type(made.engine) is cls
    for p in params.values():
        p *= scale
        p[list(huge)] = 3e38
    return loop.train(made, params, ignore)


@pytest.mark.parametrize("engine", ENGINES)
def test_parameters_that_are_not_finite_name_the_epoch_and_the_learning_rate(problem, engine):
    with pytest.raises(TrainingDiverged) as caught:
        trained(problem, engine, replace(SCHEDULE, lr=3e38))
    assert str(caught.value) == (
        "4 of 4 replicates diverged (parameters that are not finite in epoch 1; replicates: all); "
        "give a training.lr below 3e+38."
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_an_infinite_loss_of_finite_parameters_is_refused(problem, engine):
    """An infinite loss is not below any other: the untrained replicate would be deployed."""
    X = problem.X.copy()
    X[problem.splits["validation"]] *= np.float32(1e37)
    with pytest.raises(TrainingDiverged, match=r"a validation loss that is not finite in epoch 1"):
        trained(replace(problem, X=X), engine, scale=1e3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("split", ["calibration", "test"])
def test_outputs_that_are_not_finite_on_other_rows_are_refused(problem, engine, split):
    X = problem.X.copy()
    X[problem.splits[split][:1]] = np.float32(3e38)
    with pytest.raises(TrainingDiverged, match=f"outputs that are not finite on {split} rows"):
        trained(replace(problem, X=X), engine, scale=1e3)


def test_the_advice_names_the_learning_rate_of_the_method(problem):
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
