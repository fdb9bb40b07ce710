"""The chain of a system computes what its replicates answer, and is absent where it would not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.arm_toys import Net, ignore
from trustbench.config.arms import Chosen
from trustbench.contracts import Affine, Feature, Streams
from trustbench.execution.deploy import deployed
from trustbench.execution.plan import plan
from trustbench.interventions.uncertainty.mc_dropout import MCDropout
from trustbench.interventions.uncertainty.temperature import TemperatureScaling
from trustbench.models.cnn import CNN
from trustbench.models.logistic import Logistic
from trustbench.store.records import Store
from trustbench.training.engines import stack
from trustbench.training.layers import chain_of, features


def system_of(arm, *methods, **fields):
    arm = replace(
        arm, interventions=tuple(Chosen(m.__class__.__name__, m) for m in methods), **fields
    )
    return deployed(plan(arm), Store(arm.output_dir), ignore)


@pytest.mark.parametrize("engine", ["stacked", "opacus"])
@pytest.mark.parametrize("model", [Net(), Logistic()])
def test_the_chain_answers_as_the_replicates_do(arm, engine, model):
    system = system_of(arm, engine=engine, model=Chosen("net", model))
    X = system.tensor(system.problem.rows("test")[0])
    torch.testing.assert_close(system.chain(X), system.logits(X), rtol=1e-4, atol=1e-5)
    each = X.expand(system.replicates, *X.shape)
    torch.testing.assert_close(system.chain(each), system.logits(each), rtol=1e-4, atol=1e-5)
    last = system.chain.layers[-1]
    torch.testing.assert_close(last(system.chain.hidden(X)), system.chain(X))
    assert isinstance(last, Affine)


def test_a_system_whose_outputs_were_replaced_has_no_chain(arm):
    for method in (TemperatureScaling(), MCDropout(passes=2)):
        assert system_of(arm, method).chain is None
    assert system_of(arm, MCDropout(passes=0)).chain is not None


def test_other_networks_have_no_chain_but_penultimate_features(image_net):
    module, params, X = image_net
    assert chain_of(module, params, module, 3) is None
    found = features(module, params, X)
    linear = [m for m in module.modules() if isinstance(m, nn.Linear)][-1]
    for r in range(2):
        module.load_state_dict({n: p[r] for n, p in params.items()})
        with torch.no_grad():
            torch.testing.assert_close(linear(found[r]), module(X))


@pytest.fixture
def image_net(image_like):
    modules = []
    for r in range(2):
        with Streams(0).global_torch("initialisation", r):
            modules.append(CNN().build(image_like).eval())
    return modules[0], stack(modules), torch.as_tensor(image_like.X[:5])


@pytest.fixture
def image_like(problem):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(len(problem.X), 1, 28, 28)).astype(np.float32)
    pixels = tuple(Feature(f"p{j}", "pixel", (j,), -20.0, 20.0) for j in range(784))
    return replace(problem, X=X, features=pixels)
