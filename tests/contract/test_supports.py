"""`supports` gives a reason or None on any problem that the contracts admit, and never raises."""

import contextlib
import dataclasses

import numpy as np
import pytest

from tests.conftest import make_problem, make_system
from tests.contract.conftest import OPTIONS, of
from trustbench.api.checks.findings import SCHEDULE, reason_of
from trustbench.contracts import Feature, Schedule
from trustbench.errors import Unsupported

SCHEDULES = (SCHEDULE, Schedule("memorising", 1, 100_000, 10.0, sampling="poisson"))


def tiny(problem):
    """The problem with as few rows in each split as there are classes, one of each."""
    first = {
        name: np.array([rows[problem.y[rows] == k][0] for k in range(len(problem.classes))])
        for name, rows in problem.splits.items()
    }
    return dataclasses.replace(problem, splits=first)


def image(problem, *shape):
    """The problem with its columns as pixels."""
    n = int(np.prod(shape))
    pixels = tuple(Feature(f"p{j}", "pixel", (j,), -20.0, 20.0) for j in range(n))
    return dataclasses.replace(problem, X=problem.X.reshape(-1, *shape), features=pixels)


def frozen(problem):
    """The problem with columns that nobody can change and no attack may move."""
    fixed = tuple(dataclasses.replace(f, mutable=False, scale=0.0) for f in problem.features)
    return dataclasses.replace(problem, features=fixed)


def of_one_group(problem):
    zeros = np.zeros_like(problem.group)
    return dataclasses.replace(problem, group=zeros, groups=("all",))


ODD = {
    "two classes": lambda: make_problem(n=200),
    "one group": lambda: of_one_group(make_problem(n=200)),
    "thirty classes": lambda: make_problem(n=3000, classes=30, groups=3),
    "two rows": lambda: tiny(of_one_group(make_problem(n=200))),
    "one row a class": lambda: tiny(of_one_group(make_problem(n=900, classes=5))),
    "one column": lambda: make_problem(n=200, d=1),
    "columns that stay": lambda: frozen(make_problem(n=200)),
    "a pixel": lambda: image(make_problem(n=200, d=1), 1, 1, 1),
    "narrow images": lambda: image(make_problem(n=200, d=36), 3, 2, 6),
    "images": lambda: image(make_problem(n=200, d=784), 1, 28, 28),
    "a matrix": lambda: image(make_problem(n=200, d=36), 6, 6),
}


@pytest.fixture(scope="module")
def problems():
    """Problems out of the ordinary by name; none has a causal model."""
    return {name: make() for name, make in ODD.items()}


@pytest.fixture(scope="module")
def systems(problems):
    """Their bare replicates, and the same with every channel open that a method can open there."""
    found = {}
    for name, problem in problems.items():
        bare = make_system(problem, replicates=2, hidden=2, steps=1)
        alone = dataclasses.replace(bare, baseline=None, reseeded=None)
        found[name] = bare, alone, opened(bare)
    return found


def opened(system):
    """The system with one more channel open for each method that can open it there."""
    for option in OPTIONS:
        plugin = option.plugin
        if option.kind != "intervention" or plugin.retrains or plugin.deploys != "channel":
            continue
        if plugin.supports(system.problem, SCHEDULE) is None:
            with contextlib.suppress(Unsupported):  # not on the rows that this replicate drew
                system = plugin.deploy(system)
    return system


@of("model", "intervention", "evaluator")
def test_a_plugin_says_whether_it_takes_a_problem(option, problems, systems):
    supports = option.plugin.supports
    for name, problem in problems.items():
        answers = {
            "model": lambda p=problem: [supports(p)],
            "intervention": lambda p=problem: [supports(p, s) for s in SCHEDULES],
            "evaluator": lambda n=name: [supports(s) for s in systems[n]],
        }[option.kind]()
        for answer in answers:
            assert reason_of(answer, name) == answer
