"""The same training on CUDA as on the CPU, to tolerance; skipped where there is no CUDA device."""

import pytest
import torch
from torch import nn

from trustbench.config.arms import Protocol
from trustbench.contracts import Model, Schedule
from trustbench.contracts.seeding import Streams
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.robustness.pgd_at import PGDAdversarialTraining
from trustbench.interventions.uncertainty.mc_dropout import MCDropout
from trustbench.training import loop
from trustbench.training.engine_choice import choose
from trustbench.training.replicates import initial_parameters, membership
from trustbench.training.state import Trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


class TinyMLP(Model):
    def build(self, problem):
        return nn.Sequential(
            nn.Flatten(), nn.Linear(problem.n_features, 8), nn.Tanh(), nn.Linear(8, 2)
        )


class TinyCNN(Model):
    def build(self, problem):
        layers = nn.Unflatten(1, (1, problem.n_features)), nn.Conv1d(1, 4, 3), nn.GroupNorm(2, 4)
        return nn.Sequential(*layers, nn.Tanh(), nn.Flatten(), nn.Linear(16, 2))


def train(problem, model, interventions, device, engine="stacked"):
    streams, device = Streams(0), torch.device(device)
    inside = membership(problem, Protocol(replicates=4), streams)
    schedule = Schedule("memorising", epochs=4, batch_size=32, lr=0.1, momentum=0.9)
    rule = None
    for i in interventions:
        rule = rule or i.gradient(schedule, int(inside.sum(1).min()))
    made = Trainer(
        problem=problem,
        engine=choose(engine, model.build(problem), problem, device),
        interventions=interventions,
        schedule=rule.schedule if rule else schedule,
        rule=rule,
        membership=inside,
        streams=streams,
        device=device,
        patience=10,
    )
    params = initial_parameters(model, problem, 4, streams, device)
    params = {n: p.double() for n, p in params.items()}
    return loop.train(made, params, lambda *_: None).params


@pytest.mark.parametrize("model", [TinyMLP(), TinyCNN()], ids=["mlp", "cnn"])
@pytest.mark.parametrize(
    "interventions",
    [(), (DPSGD(epsilon=5.0, epochs=4, batch_size=32),)],
    ids=["plain", "dp"],
)
@pytest.mark.parametrize("engine", ["stacked", "opacus"])
def test_cuda_trains_the_replicates_of_the_cpu(problem, model, interventions, engine):
    cpu = train(problem, model, interventions, "cpu", engine)
    cuda = train(problem, model, interventions, "cuda", engine)
    for name, p in cpu.items():
        torch.testing.assert_close(cuda[name].cpu(), p, rtol=1e-7, atol=1e-9)


def test_adversarial_training_repeats_on_cuda(problem):
    first, second = (train(problem, TinyMLP(), (PGDAdversarialTraining(),), "cuda") for _ in "ab")
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("model", [TinyMLP(), TinyCNN()], ids=["mlp", "cnn"])
@pytest.mark.parametrize(
    "interventions",
    [(MCDropout(),), (DPSGD(epsilon=5.0, epochs=4, batch_size=32), MCDropout())],
    ids=["plain", "dp"],
)
def test_masks_are_those_of_the_cpu_whichever_engine_runs(problem, model, interventions):
    first, second, oracle = (
        train(problem, model, interventions, "cuda", engine)
        for engine in ("stacked", "stacked", "opacus")
    )
    cpu = train(problem, model, interventions, "cpu")
    for name, p in first.items():
        assert torch.equal(second[name], p)
        torch.testing.assert_close(oracle[name], p, rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(cpu[name], p.cpu(), rtol=1e-7, atol=1e-9)
