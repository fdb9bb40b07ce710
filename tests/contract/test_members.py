"""Rows that a replicate does not train on change nothing in it, for every method that weighs rows.

Before `weights` was given the members of a replicate, it saw the whole pool: a row acted on models
that never trained on it, so that "in" and "out" differed by less than an attack on membership
assumes. A planted method that still looks at the whole pool shows both.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from tests.conftest import make_problem
from tests.contract.conftest import OPTIONS
from tests.contract.watched import first_of
from tests.tables import make_table
from tests.unit.training.test_loop import SCHEDULE, ignore, trainer
from trustbench.contracts import Intervention, Read
from trustbench.contracts.aspects import Aspect
from trustbench.training import loop

PROBLEMS = (make_table(), make_problem(n=900, classes=5, groups=5, seed=1))
COUNTING = [
    o
    for o in OPTIONS
    if o.kind == "intervention" and any(map(o.plugin.fills, ("weights", "reweigh", "resample")))
]


@dataclass(frozen=True)
class Neighbours(Intervention):
    """Weighs a row by the share of its nearest rows that have its label."""

    of_pool: bool = False

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (Read("members", "the labels of near rows", into="training"),)

    def weights(self, problem, members):
        X, y, _ = problem.rows("train")
        seen = np.arange(len(X)) if self.of_pool else members
        distance = np.square(X[members][:, None] - X[seen][None]).sum(-1)
        near = seen[distance.argsort(1, kind="stable")[:, 1:6]]
        agreement = 0.1 + (y[near] == y[members][:, None]).mean(1)
        return agreement / agreement.mean()


def elsewhere(problem, members, seed=0):
    """The problem with other labels, groups and inputs in the pool's rows that are not members."""
    rng, pool = np.random.default_rng(seed), problem.splits["train"]
    rows = np.setdiff1d(pool, pool[members])
    X, y, group = problem.X.copy(), problem.y.copy(), problem.group.copy()
    X[rows] = X[rng.permutation(rows)]
    y[rows], group[rows] = (rng.integers(0, len(n), len(rows)) for n in both(problem))
    return replace(problem, X=X, y=y, group=group)


def both(problem):
    return problem.classes, problem.groups


def leaks(plugin, problem):
    """Whether rows outside a replicate's half change what the method makes of the half."""
    members = np.arange(0, len(problem.splits["train"]), 2)

    def made(problem):
        rng = np.random.default_rng(0)
        return (
            plugin.weights(problem, members),
            plugin.reweigh(problem, members, first_of(problem)),
            plugin.resample(problem, members, rng),
        )

    pairs = zip(made(problem), made(elsewhere(problem, members)), strict=True)
    return any(a is not None and not np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("option", COUNTING, ids=[o.name for o in COUNTING])
def test_what_others_than_members_change_is_declared_as_read_of_the_pool(option):
    plugin = option.plugin
    problem = next(p for p in PROBLEMS if plugin.supports(p, SCHEDULE) is None)
    declared = {r.rows for r in plugin.declares(problem, SCHEDULE, 100)}
    assert leaks(plugin, problem) == ("pool" in declared)


@pytest.mark.parametrize("of_pool", [True, False])
def test_a_planted_method_that_looks_at_others_is_caught(of_pool):
    assert leaks(Neighbours(of_pool), PROBLEMS[0]) == of_pool


def test_two_trainings_that_differ_in_others_alone_cannot_be_told_apart():
    """The A/A of a replicate: equal bits now, another model when the whole pool was given."""
    problem = make_problem(n=400, seed=2)
    half = np.arange(len(problem.splits["train"])) % 2 == 0
    changed = elsewhere(problem, np.flatnonzero(half))
    for of_pool in (True, False):
        logits = []
        for seen in (problem, changed):
            made, params = trainer(seen, [Neighbours(of_pool)], replicates=2)
            made = replace(made, membership=np.stack([half, ~half]))
            state = loop.train(made, params, ignore)
            logits.append(made.engine.forward(state.best, torch.as_tensor(problem.X))[0])
        assert torch.equal(*logits) == (not of_pool)
