"""Toy plugins and an arm of them, for tests of the runner."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from torch import nn

from tests.conftest import make_problem
from trustbench import tracking
from trustbench.config.arms import Arm, Chosen, Protocol, Training
from trustbench.contracts import (
    Dataset,
    Evaluator,
    Intervention,
    Measured,
    Metric,
    Model,
    Read,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.errors import DataError
from trustbench.execution.arm import run_arm
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.store.records import Store


@dataclass(frozen=True)
class Toy(Dataset):
    rows: int = 600
    reads_rows: ClassVar = ()

    def load(self, data_dir, streams):
        if self.rows < 10:
            raise DataError(f"rows={self.rows} is too small; give at least 10.")
        return make_problem(n=self.rows)


@dataclass(frozen=True)
class Net(Model):
    def build(self, problem):
        return nn.Sequential(
            nn.Flatten(), nn.Linear(problem.n_features, 8), nn.Tanh(), nn.Linear(8, 2)
        )


def hits(system):
    """Which test rows each replicate has right, [R, n], and how many of them."""
    y = system.problem.rows("test")[1]
    right = system.split_logits("test").argmax(-1).cpu().numpy() == y
    return right, SHARE_RIGHT.of("accuracy", right.mean(1), len(y))


SHARE_RIGHT = fraction("accuracy", "The share of test rows that are right.", better="higher")
DISTANCE = Metric("distance", "How far the logits of two systems are apart.", "logits", "lower")


@dataclass(frozen=True)
class Accuracy(Evaluator):
    points: int = 0
    aspect: ClassVar[None] = None
    metrics: ClassVar = (SHARE_RIGHT, fraction("auc", "A ranking.", better="higher"))

    def measure(self, system):
        right, accuracy = hits(system)
        return Measured((accuracy,), arrays={"right": right}, missing={"auc": "not asked"})


@dataclass(frozen=True)
class Transfer(Evaluator):
    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    needs: ClassVar = frozenset({"baseline"})
    metrics: ClassVar = (DISTANCE,)

    def supports(self, system):
        return None if system.baseline else "the baseline has no baseline"

    def measure(self, system):
        X = system.tensor(system.problem.rows("test")[0])
        gap = (system.baseline().forward(X) - system.logits(X)).abs().mean((1, 2)).cpu().numpy()
        return Measured((self.measurement("distance", gap, len(X)),))


@dataclass(frozen=True)
class Crash(Evaluator):
    aspect: ClassVar[None] = None
    metrics: ClassVar = ()

    def measure(self, system):
        raise ZeroDivisionError("a bug of ours")


@dataclass(frozen=True)
class Release(Intervention):
    aspect: ClassVar[Aspect] = Aspect.EXPLAINABILITY
    reads_rows: ClassVar = ()

    def deploy(self, system):
        return replace(system, explainer=lambda X, repeat: X.expand(system.replicates, *X.shape))


@dataclass(frozen=True)
class Coupled(Intervention):
    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    per_example: ClassVar[bool] = False
    reads_rows: ClassVar = (Read("members", "other rows of a batch", into="training"),)

    def objective(self, loss, logits, batch):
        return loss + loss.mean(1, keepdim=True)


DP = Chosen("dpsgd", DPSGD(epsilon=4.0, epochs=4, batch_size=32))
ACCURACY = Chosen("accuracy", Accuracy())


def toy_arm(tmp_path, monkeypatch):
    """An arm of four replicates; nothing of it is logged."""
    monkeypatch.setattr(tracking, "log_record", lambda *a, **k: None)
    return Arm(
        dataset=Chosen("toy", Toy()),
        model=Chosen("net", Net()),
        training=Training(regime="tuned", epochs=4, batch_size=32, lr=0.1, snapshots=6),
        interventions=(),
        evaluators=(ACCURACY,),
        protocol=Protocol(replicates=4),
        output_dir=tmp_path,
        data_dir=Path("nowhere"),
    )


def ignore(*_):
    pass


def run(arm):
    return run_arm(arm, Store(arm.output_dir), ignore)
