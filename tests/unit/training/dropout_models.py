"""Models with dropout layers of their own, and a short training under a given engine."""

from dataclasses import dataclass, replace

from torch import nn

from tests.unit.training.test_engines import C
from tests.unit.training.test_loop import ignore, trainer
from trustbench.contracts import Model
from trustbench.training import loop
from trustbench.training.functional import FunctionalEngine
from trustbench.training.linear_chain import LinearChainEngine
from trustbench.training.opacus_engine import OpacusEngine

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
    made, params = trainer(problem, interventions, replicates=replicates, model=model)
    if engine != "auto":
        chosen = ENGINES[engine](model.build(problem), problem.shape, "test")
        made = replace(made, engine=chosen)
    made = replace(made, schedule=replace(made.schedule, epochs=3))
    return loop.train(made, params, progress=ignore, **kwargs)
