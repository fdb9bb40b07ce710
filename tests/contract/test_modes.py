"""Every registered model, on each engine: deployed in evaluation mode, steady, row by row."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.contract.conftest import of
from tests.unit.arm_toys import ACCURACY, ignore
from tests.unit.models.test_models import images
from trustbench.config.arms import Arm, Chosen, Protocol, Training
from trustbench.contracts import Dataset, Model
from trustbench.execution.deploy import deployed as deployed_system
from trustbench.execution.plan import plan
from trustbench.interventions.uncertainty.mc_dropout import MCDropout
from trustbench.store.records import Store
from trustbench.training.engine_choice import is_linear_chain


@dataclass(frozen=True)
class Squares(Dataset):
    """Random 8x8 images."""

    def load(self, data_dir, streams):
        return images((64,), n=60)


@dataclass(frozen=True)
class Watched(Model):
    """A model whose layers note the mode of every pass."""

    model: Model

    def build(self, problem):
        module = self.model.build(problem)
        for layer in module.modules():
            layer.register_forward_hook(_note)
        return module


SEEN: list[bool] = []


def _note(layer, _inputs, _output):
    SEEN.append(layer.training)


def planned(model, engine, tmp_path, *interventions):
    arm = Arm(
        dataset=Chosen("squares", Squares()),
        model=Chosen("model", model),
        training=Training(regime="tuned", epochs=1, batch_size=16, lr=0.05, snapshots=2),
        interventions=tuple(Chosen(type(i).__name__, i) for i in interventions),
        evaluators=(ACCURACY,),
        protocol=Protocol(replicates=2),
        engine=engine,
        output_dir=tmp_path,
        data_dir=Path("nowhere"),
    )
    return plan(arm)


def deployed(model, engine, tmp_path, *interventions):
    made = planned(model, engine, tmp_path, *interventions)
    return deployed_system(made, Store(tmp_path), ignore)


@pytest.mark.parametrize("engine", ["stacked", "opacus"])
@of("model")
def test_a_deployed_model_is_in_evaluation_mode_steady_and_reads_row_by_row(
    option, engine, tmp_path
):
    SEEN.clear()
    system = deployed(Watched(option.plugin), engine, tmp_path)
    assert True in SEEN, "training steps run in training mode"
    _runs_in_evaluation_mode(system)
    if is_linear_chain(option.plugin.build(system.problem)):
        # trained in closed form, which layers that note their passes would rule out
        system = deployed(option.plugin, engine, tmp_path)
    _is_steady(system)
    # a network without hidden activations has no dropout, and resnet18 has nine as the others' one
    if option.name not in ("logistic", "resnet18"):
        _is_steady(deployed(option.plugin, engine, tmp_path, MCDropout(passes=2)))


def _is_steady(system):
    X = system.tensor(system.problem.rows("test")[0])
    whole = system.logits(X)
    assert torch.equal(whole, system.logits(X)), "two measurements are the same bits"
    alone = torch.cat([system.logits(X[k : k + 1]) for k in range(6)], dim=1)
    torch.testing.assert_close(whole[:, :6], alone, rtol=1e-4, atol=1e-5)
    turned = system.logits(X.flip(0)).flip(1)
    torch.testing.assert_close(whole, turned, rtol=1e-4, atol=1e-5)


def _runs_in_evaluation_mode(system):
    SEEN.clear()
    X = system.tensor(system.problem.rows("test")[0][:4]).requires_grad_()
    system.forward(X).sum().backward()  # as an attack or an explanation asks
    assert X.grad.abs().sum() > 0
    assert SEEN
    assert not any(SEEN)


@of("model")
def test_without_a_choice_a_model_has_one_of_these_engines(option, tmp_path):
    """So the test above covers what `engine=auto` takes."""
    chosen = planned(option.plugin, "auto", tmp_path).engine
    both = [planned(option.plugin, engine, tmp_path).engine for engine in ("stacked", "opacus")]
    assert type(chosen) in [type(engine) for engine in both]
