"""The learning rate that a model states: an arm has it as a number, and models learn with it."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.contract.conftest import REQUIRED, options
from trustbench.config.arms import Training
from trustbench.config.compose import compose, composed_arm
from trustbench.execution import fit as fitting
from trustbench.execution import pilot as piloting
from trustbench.execution import plan as planning
from trustbench.store.records import Store
from trustbench.training.loop import accuracy_on
from trustbench.training.state import Trainer

MODELS = {o.name: o.plugin for o in options("model")}
# What a model may lack of the accuracy of logistic regression after the epochs given.
MARGIN = 0.05
TRIALS = [
    pytest.param("logistic", "digits", 40, None),
    pytest.param("mlp", "digits", 40, None),
    pytest.param("cnn", "digits", 40, None),
    pytest.param("resnet18", "digits", 12, None, marks=pytest.mark.science),
    pytest.param("module", "silobank", 10, 1000),
    pytest.param("logistic", "mnist10k", 10, 1000),
    pytest.param("mlp", "mnist10k", 10, 1000),
    pytest.param("cnn", "mnist10k", 10, 1000),
    *[
        pytest.param(model, data, 10, 1000)
        for model in ("logistic", "mlp")
        for data in ("adult", "acs_income", "compas", "german", "silobank")
    ],
]


def arm_of(tmp_path, model, *overrides):
    required = [f"model.{k}={v}" for k, v in REQUIRED.get(("model", model), {}).items()]
    chosen = [f"model={model}", *required]
    return composed_arm(
        compose(
            [*chosen, *overrides, f"output_dir={tmp_path}", "evaluator=[utility]", "device=cpu"]
        )
    )


def accuracies(plan, store):
    """Test accuracy of the replicates, and of logistic regression on the first one's half."""
    fit = fitting.fit(plan, store, lambda *_: None)
    trainer = Trainer(
        problem=plan.problem, engine=plan.engine, interventions=(), schedule=plan.schedule,
        rule=None, membership=plan.membership, streams=plan.streams, device=plan.device,
        patience=1,
    )  # fmt: skip
    own = accuracy_on(trainer, fit.params, "test")
    X, y, _ = plan.problem.rows("train")
    inside = plan.membership[0]
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    plain.fit(X.reshape(len(X), -1)[inside], y[inside])
    X, y, _ = plan.problem.rows("test")
    return own, plain.score(X.reshape(len(X), -1), y)


@pytest.mark.parametrize(("model", "data", "epochs", "members"), TRIALS)
def test_a_model_learns_with_the_rate_that_it_states(
    model, data, epochs, members, request, tmp_path
):
    offline = data in ("digits", "silobank")
    folder = tmp_path if offline else request.getfixturevalue("shared_data")
    arm = arm_of(
        tmp_path,
        model,
        f"dataset={data}",
        f"data_dir={folder}",
        f"training.epochs={epochs}",
        f"training.max_members={members or 'null'}",
        "protocol.replicates=2",
    )
    own, plain = accuracies(planning.plan(arm), Store(tmp_path))
    assert own.mean() > plain - MARGIN


def test_every_model_is_tried():
    assert {trial.values[0] for trial in TRIALS} == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("regime", ["tuned", "memorising"])
def test_an_arm_has_the_rate_of_its_model_unless_one_is_given(model, regime, tmp_path):
    arm = arm_of(tmp_path, model, f"training={regime}")
    assert arm.training.lr == MODELS[model].learning_rate
    treated = arm_of(tmp_path, model, f"training={regime}", "intervention=pgd_at")
    assert treated.training == arm.training
    given = arm_of(tmp_path, model, f"training={regime}", "training.lr=0.2")
    assert given.training.lr == 0.2
    assert dataclasses.asdict(arm.training)["lr"] is not None  # what ids and records hold


def test_a_pilot_passes_over_a_rate_at_which_a_model_does_not_learn(shared_data, tmp_path):
    """At .1, the default of other models, the losses of cnn on MNIST are in the hundreds."""
    arm = arm_of(
        tmp_path,
        "cnn",
        "dataset=mnist10k",
        f"data_dir={shared_data}",
        "training.epochs=8",
        "training.max_members=500",
        "training.lr=auto",
        "training.lr_grid=[0.03,0.1]",
        "protocol.replicates=2",
    )
    made = piloting.settle(planning.plan(arm), Store(tmp_path), lambda *_: None)
    good, bad = made.arm.pilot.tried
    assert made.schedule.lr == good.rate == 0.03
    assert good.loss < 1.5 < np.log(10) < bad.loss


def test_a_schedule_needs_a_rate():
    with pytest.raises(ValueError, match="the learning rate is the model's"):
        Training(regime="tuned", epochs=1, batch_size=8, lr=None).schedule(10)
    with pytest.raises(ValueError, match="the learning rate is the model's or a pilot's"):
        Training(regime="tuned", epochs=1, batch_size=8, lr="auto").schedule(10)
