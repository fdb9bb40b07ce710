"""What a plugin declares to the privacy ledger is what its hooks read, found by watching them."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from tests.contract.conftest import OPTIONS, of
from tests.contract.watched import (
    batch_of,
    linear,
    place,
    read_in_training,
    read_when_deployed,
    watched_problem,
)
from tests.tables import make_table
from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.findings import SCHEDULE
from trustbench.api.checks.opened import opened
from trustbench.contracts import Intervention, Read
from trustbench.contracts.guarantees import is_claim

METHODS = of("intervention")


@pytest.fixture(scope="module")
def table_system():
    return make_system(make_table())


@pytest.fixture(scope="module")
def places(table_system, multiclass_system):
    """Systems of which every method supports one."""
    return table_system, multiclass_system


@METHODS
def test_an_intervention_reads_what_it_declares(option, places):
    plugin = option.plugin
    system = place(plugin, places)
    assert plugin.accounted, "declare `reads_rows` or `declares` beside the hooks"
    declared = plugin.declares(system.problem, SCHEDULE, 100)
    assert declared is not None, "declare what is read; reads_rows = () where nothing is"
    rows = {r.rows for r in declared}
    seen = read_in_training(plugin, system.problem) | read_when_deployed(plugin, system)
    assert seen <= rows | ({"pool"} if "members" in rows else set()), "read and not declared"
    plain = {r.rows for r in declared if r.mechanism is None} - {"members"}
    assert plain <= seen, "declared and not read"
    for read in declared:
        assert read.what
        assert read.mechanism is None or "{" not in read.what


@METHODS
def test_no_intervention_states_a_guarantee_itself(option, places):
    plugin = cheap(option.plugin)
    system = place(plugin, places)
    if plugin.deploys == "release":
        system = opened(system, "channel")
    stated = dict(plugin.deploy(system).facts)
    rule = plugin.gradient(SCHEDULE, 100)
    if rule is not None:
        stated.update(rule.facts())
    assert not [fact for fact in stated if is_claim(fact)]


@METHODS
def test_as_many_trained_copies_answer_as_are_declared(option, places):
    plugin = cheap(option.plugin)
    system = place(plugin, places)
    taken = set()

    def twin(k):
        taken.add(k)
        return system.reseeded(k)

    if plugin.deploys == "release":
        system = opened(system, "channel")
    deployed = plugin.deploy(dataclasses.replace(system, reseeded=twin))
    deployed.logits(torch.as_tensor(system.problem.rows("test")[0][:3]))
    assert 1 + len(taken) == plugin.trained_copies()


@METHODS
def test_an_example_is_trained_on_alone_unless_that_is_declared(option, places):
    """Another row in a batch moves nothing but its own inputs and loss."""
    plugin, problem = option.plugin, place(option.plugin, places).problem
    forward = linear(problem)

    def terms(other):
        batch = batch_of(problem)
        if other:
            X, y, group = (torch.as_tensor(a[9:10]) for a in problem.rows("train"))
            batch.X[:, -1:, 0], batch.y[:, -1] = X, (y + 1) % len(problem.classes)
            batch.group[:, -1] = (group + 1) % len(problem.groups)
        memory = {}
        plugin.adapt(memory, batch_of(problem), forward, problem)
        batch.memory = memory
        batch.X = plugin.perturb(batch, forward, problem).detach()
        logits = forward(batch.X)
        R, B, V, C = logits.shape
        target = batch.y.unsqueeze(2).expand(R, B, V)
        loss = torch.nn.functional.cross_entropy(
            logits.reshape(-1, C), target.reshape(-1), reduction="none"
        )
        return batch.X[:, :-1], plugin.objective(loss.view(R, B, V).mean(2), logits, batch)[:, :-1]

    (X, loss), (moved, after) = terms(False), terms(True)
    alone = torch.equal(X, moved) and torch.allclose(loss, after, rtol=1e-6, atol=1e-6)
    assert alone == plugin.per_example
    if not plugin.per_example:
        assert "members" in {r.rows for r in plugin.declares(problem, SCHEDULE, 100)}


@of("model")
def test_a_model_reads_no_rows_or_declares_them(option):
    problem = make_problem(n=200, d=784)
    image = dataclasses.replace(
        problem,
        X=problem.X.reshape(-1, 1, 28, 28),
        features=tuple(dataclasses.replace(f, kind="pixel") for f in problem.features),
    )
    for some in (problem, image):
        if option.plugin.supports(some) is None:
            watched = watched_problem(some)
            option.plugin.build(watched)
            assert watched.seen <= {r.rows for r in option.plugin.reads_rows}


@dataclasses.dataclass(frozen=True)
class Sneaky(Intervention):
    reads_rows = ()

    def weights(self, problem, members):
        y = problem.rows("train")[1][members]
        return np.where(y == 0, 1.5, 0.5)

    def deploy(self, system):
        system.problem.y[system.calibration]
        np.asarray(system.membership)
        return system


def test_the_watch_sees_what_is_not_declared(table_system):
    assert read_in_training(Sneaky(), table_system.problem) == {"pool"}
    assert read_when_deployed(Sneaky(), table_system) == {"calibration", "members"}
    mean = watched_problem(table_system.problem)
    np.asarray(mean.X).mean()
    assert mean.seen == {"pool", "validation", "calibration"}


def test_a_subclass_that_overrides_a_hook_declares_anew():
    class Honest(Sneaky):
        reads_rows = (Read("pool", "labels", into="training"),)

        def weights(self, problem, members):
            return super().weights(problem, members)

    class Silent(Honest):
        def labels(self, problem):
            return problem.rows("train")[1]

    assert Honest().accounted
    assert not Silent().accounted


def test_the_options_are_watched():
    assert sum(o.kind == "intervention" for o in OPTIONS) > 30
