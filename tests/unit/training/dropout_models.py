"""Models with dropout layers of their own, and a short training under a given engine."""

from dataclasses import dataclass, replace

from torch import nn

from tests.unit.training.test_engines import C
from tests.unit.training.test_loop import CPU, SCHEDULE, ignore
from trustbench.arms import Protocol
from trustbench.contracts import Model
from trustbench.seeding import Streams
from trustbench.training import loop
from trustbench.training.choice import choose
from trustbench.training.functional import FunctionalEngine
from trustbench.training.linear_chain import LinearChainEngine
from trustbench.training.opacus_engine import OpacusEngine
from trustbench.training.replicates import initial_parameters, membership
from trustbench.training.state import Trainer

ENGINES = {"chain": LinearChainEngine, "functional": FunctionalEngine, "opacus": OpacusEngine}


@dataclass(frozen=True)
class Thinned(Model):
    """What a user writes: a dropout layer in a chain."""

    rate: float = 0.5

    def build(self, problem):
        wide = nn.Linear(problem.n_features, 16)
        return nn.Sequential(nn.Flatten(), wide, nn.Tanh(), nn.Dropout(self.rate), nn.Linear(16, 2))


class Twice(nn.Module):
    """One dropout layer used twice in a pass, which is common."""

    def __init__(self, rate=0.4):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(12, 9), nn.Linear(9, 8), nn.Linear(8, C)
        self.drop = nn.Dropout(rate)

    def forward(self, x):
        return self.c(self.drop(self.b(self.drop(self.a(x.flatten(1))).tanh()).relu()))


def chain(rate=0.4):
    return nn.Sequential(
        nn.Flatten(), nn.Dropout(rate), nn.Linear(12, 9), nn.Tanh(), nn.Dropout(rate),
        nn.Linear(9, C),
    )  # fmt: skip


def channels(rate=0.4):
    return nn.Sequential(
        nn.Unflatten(1, (1, 3, 4)), nn.Conv2d(1, 4, 3, padding=1), nn.Dropout2d(rate), nn.Tanh(),
        nn.Flatten(), nn.Linear(48, C),
    )  # fmt: skip


MODULES = {"chain": chain, "twice": Twice, "channels": channels}


def trained(problem, model, engine, interventions=(), replicates=4, **kwargs):
    streams = Streams(0)
    inside = membership(problem, Protocol(replicates=replicates), streams)
    rule = None
    for i in interventions:
        rule = rule or i.gradient(SCHEDULE, int(inside.sum(1).min()))
    module = model.build(problem)
    made = (
        choose("auto", module, problem, CPU)
        if engine == "auto"
        else ENGINES[engine](module, problem.shape, "test")
    )
    trainer = Trainer(
        problem=problem,
        engine=made,
        interventions=list(interventions),
        schedule=replace(rule.schedule if rule else SCHEDULE, epochs=3),
        rule=rule,
        membership=inside,
        streams=streams,
        device=CPU,
        patience=10,
    )
    params = initial_parameters(model, problem, replicates, streams, CPU)
    return loop.train(trainer, params, progress=ignore, **kwargs)
