"""`check-plugin` passes what keeps its contract, and finds each planted fault."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from trustbench.api.checks.check import check_plugin, find_plugin
from trustbench.api.checks.toys import make_problem
from trustbench.commands import cli
from trustbench.config.compose import conf_dir
from trustbench.contracts import Aspect, Dataset, Evaluator, Intervention, Measured, Metric, Model
from trustbench.datasets.loading.tabular import POOL_STATISTICS
from trustbench.errors import UserError

BRIER = Metric("brier", "How far forecasts are from what happens.", "Brier", "lower", 0.0, 2.0)


def problems(plugin):
    return [f.problem for f in check_plugin(plugin) if f.problem]


@dataclass(frozen=True)
class Sound(Dataset):
    """The toy problem."""

    reads_rows: ClassVar = ()

    def load(self, data_dir, streams):
        return make_problem()


@dataclass(frozen=True)
class Unsteady(Sound):
    """Other numbers with every load."""

    def load(self, data_dir, streams):
        found = make_problem()
        return replace(found, X=found.X + np.float32(np.random.default_rng().random()))


@dataclass(frozen=True)
class Learning(Sound):
    """Bounds that follow the pool, undeclared."""

    def load(self, data_dir, streams):
        return make_problem(seed=int(streams.numpy("data").integers(99)))


@dataclass(frozen=True)
class Cautious(Sound):
    """Declares statistics that it does not read."""

    reads_rows: ClassVar = (POOL_STATISTICS,)


@dataclass(frozen=True)
class Silent(Sound):
    """Declares nothing."""

    reads_rows: ClassVar = None


@dataclass(frozen=True)
class Mixing(Model):
    """Centres each batch."""

    def build(self, problem):
        class Centred(torch.nn.Linear):
            def forward(self, x):
                x = x.flatten(1)
                return super().forward(x - x.mean(0))

        return Centred(problem.n_features, len(problem.classes))


@dataclass(frozen=True)
class Narrow(Model):
    """One output for every problem."""

    def build(self, problem):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(problem.n_features, 1))


@dataclass(frozen=True)
class Method(Intervention):
    """A sound one."""

    aspect: ClassVar = Aspect.ROBUSTNESS
    reference: ClassVar = "Nobody 2026, section 1"
    reads_rows: ClassVar = ()

    def objective(self, loss, logits, batch):
        return loss * 0.5


@dataclass(frozen=True)
class TwoViews(Method):
    """Trains on each example twice, the second time moved."""

    reads_rows: ClassVar = ()

    def perturb(self, batch, forward, problem):
        return torch.cat([batch.X, batch.X.clamp(-1.0, 1.0)], dim=2)

    def objective(self, loss, logits, batch):
        one, other = logits.unbind(2)
        return loss + (one - other).square().sum(-1)


@dataclass(frozen=True)
class Averaging(Method):
    """One loss for the whole batch."""

    def objective(self, loss, logits, batch):
        return loss.mean()


@dataclass(frozen=True)
class InPlace(Method):
    """Changes its batch."""

    def perturb(self, batch, forward, problem):
        batch.X += 0.0001
        return batch.X


@dataclass(frozen=True)
class Rude(Method):
    """Changes the system that it is given."""

    def deploy(self, system):
        system.facts["rude"] = True
        return system


@dataclass(frozen=True)
class Undeclared(Method):
    """Says nothing of what it reads."""

    reads_rows: ClassVar = ()

    def supports(self, problem, schedule):
        return True


@dataclass(frozen=True)
class Brier(Evaluator):
    """A sound one."""

    aspect: ClassVar = Aspect.UNCERTAINTY
    reference: ClassVar = "Brier 1950, equation 2"
    metrics: ClassVar = (BRIER,)
    reads: ClassVar = frozenset({"forward"})

    def values(self, system):
        return np.full(system.replicates, 0.5)

    def measure(self, system):
        return Measured((self.measurement("brier", self.values(system), 10),))


@dataclass(frozen=True)
class Keeping(Brier):
    """Measures nothing, and keeps an array to look at."""

    metrics: ClassVar = ()

    def measure(self, system):
        return Measured((), {"rows": np.arange(3)})


@dataclass(frozen=True)
class Secret(Brier):
    """Measures what it does not declare."""

    metrics: ClassVar = ()

    def measure(self, system):
        return Brier().measure(system)


@dataclass(frozen=True)
class Shifted(Method):
    """Draws factors whose mean is 2."""

    def hidden(self, shape, generator):
        return torch.rand(shape, generator=generator) + 1.5


@dataclass(frozen=True)
class Lucky(Brier):
    """Another number each time."""

    def values(self, system):
        return np.random.default_rng().random(system.replicates)


@dataclass(frozen=True)
class Wild(Brier):
    """Beyond its bounds."""

    def values(self, system):
        return np.full(system.replicates, 2.5)


@dataclass(frozen=True)
class Broken(Brier):
    """Not written yet."""

    def measure(self, system):
        return 1 / 0


@pytest.mark.parametrize(
    "plugin", [Sound(), Method(), TwoViews(), Brier(), Keeping()], ids=lambda p: type(p).__name__
)
def test_a_small_sound_plugin_passes(plugin):
    assert problems(plugin) == []


@pytest.mark.parametrize(
    ("plugin", "sentence"),
    [
        (Unsteady(), "two loads with one seed differ"),
        (Learning(), "another pool gives other bounds"),
        (Cautious(), "nothing is learnt from it; declare reads_rows = ()"),
        (Silent(), "reads_rows is not declared"),
        (Mixing(), "couples the examples of a batch"),
        (Narrow(), "return logits of shape (5, 2)"),
        (Averaging(), "return one for each example"),
        (InPlace(), "it changes batch.X in place"),
        (Rude(), "deploy changes the system it is given"),
        (Undeclared(), "supports returns True; return None, or the reason"),
        (Secret(), "measures 'brier' without declaring it"),
        (Shifted(), "factors must have mean 1"),
        (Lucky(), "brier differs when measured again"),
        (Wild(), "brier leaves its declared bounds, 0.0 to 2.0"),
        (Broken(), "ZeroDivisionError: division by zero ("),
    ],
    ids=lambda p: type(p).__name__ if not isinstance(p, str) else "",
)
def test_a_fault_is_found_and_said(plugin, sentence):
    found = problems(plugin)
    assert any(sentence in problem for problem in found), found
    assert not any("\n" in problem for problem in found)


def test_the_command_says_pass_or_fail_line_by_line(capsys):
    assert cli.main(["check-plugin", "logistic"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "model logistic"
    assert said[-1] == "every check passed."
    assert all(line.startswith("ok ") for line in said[1:-1])
    assert cli.main(["check-plugin", "adult", "--data-dir", "nowhere"]) == 2
    said = capsys.readouterr().out
    assert "FAIL" in said
    assert "trustbench data fetch adult" in said


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("logistc", None, "did you mean 'logistic'"),
        ("logistic", "dataset", "there is no plugin 'logistic'"),
        ("no.such:Thing", None, "cannot be imported"),
        ("trustbench.contracts:Aspect", None, "is not the class of a plugin"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(name, kind, sentence):
    with pytest.raises(UserError, match=sentence):
        find_plugin(name, kind, [conf_dir()])


def test_a_class_is_checked_without_yaml():
    found = find_plugin("trustbench.models.logistic:Logistic", None, [conf_dir()])
    assert found.kind == "model"
