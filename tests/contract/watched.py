"""A problem and a system that note which rows are read, to hold declarations against."""

import dataclasses
import sys
from functools import cached_property

import numpy as np
import torch

from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.findings import SCHEDULE
from trustbench.api.checks.opened import opened
from trustbench.contracts import SPLITS, Affine, Batch, Chain, FirstFit, Problem, System
from trustbench.contracts.seeding import Streams

POOL = {"train": "pool"}


class Watched:
    """An array whose every read is noted; its shape is not a row."""

    def __init__(self, array, note):
        self.array, self.note = array, note
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __len__(self):
        return len(self.array)

    def __getitem__(self, index):
        rows = index[0] if isinstance(index, tuple) else index
        self.note(np.arange(len(self.array))[rows])
        return self.array[index]

    def __array__(self, dtype=None, copy=None):
        self.note(np.arange(len(self.array)))
        return np.array(self.array, dtype=dtype)

    def __getattr__(self, name):  # a method of the array: copy, mean, ...
        self.note(np.arange(len(self.array)))
        return getattr(self.array, name)


class WatchedProblem(Problem):
    """`seen`: the names of the splits whose rows were read."""

    def __post_init__(self):
        object.__setattr__(self, "seen", set())
        for name in ("X", "y", "group"):
            object.__setattr__(self, name, Watched(getattr(self, name), self._note))

    @cached_property
    def split_of(self):
        out = np.full(len(self.X), "", dtype=object)
        for split in SPLITS:
            out[self.splits[split]] = POOL.get(split, split)
        return out

    def _note(self, rows):
        self.seen.update(set(self.split_of[np.ravel(rows)]) - {"", "test"})


def watched_problem(problem):
    """The problem under watch."""
    fields = {f.name: getattr(problem, f.name) for f in dataclasses.fields(problem)}
    return WatchedProblem(**fields)


class WatchedSystem(System):
    """A system whose `membership` notes that members are told from others."""

    def __getattribute__(self, name):
        # `dataclasses.replace` copies every field and looks into none
        if name == "membership" and sys._getframe(1).f_code.co_name not in ("replace", "_replace"):
            self.problem.seen.add("members")
        return super().__getattribute__(name)


def watched_system(system):
    """The system, and its other draws, under watch; all of one note."""
    problem = watched_problem(system.problem)

    def watch(system):
        fields = {f.name: getattr(system, f.name) for f in dataclasses.fields(system) if f.init}
        fields["problem"] = problem
        fields["reseeded"] = lambda k: watch(system.reseeded(k))
        return WatchedSystem(**fields)

    return watch(system)


def place(plugin, places):
    return next(s for s in places if plugin.supports(s.problem, SCHEDULE) is None)


def batch_of(problem, rows=8, replicates=2):
    X, y, group = (torch.as_tensor(a[:rows]) for a in problem.rows("train"))
    streams = Streams(0)
    return Batch(
        X=X.expand(replicates, *X.shape).unsqueeze(2).clone(),
        y=y.expand(replicates, rows).clone(),
        group=group.expand(replicates, rows).clone(),
        weight=torch.ones(replicates, rows),
        rows=torch.arange(rows).expand(replicates, rows),
        generators=[streams.torch("attacks", r) for r in range(replicates)],
        first=linear(problem)(X).expand(replicates, -1, -1),
    )


def linear(problem):
    d, k = problem.n_features, len(problem.classes)
    weights = torch.as_tensor(np.random.default_rng(0).normal(size=(d, k)), dtype=torch.float32)
    return lambda X: X.flatten(-len(problem.shape)) @ weights


def one_layer(problem, replicates=2):
    """`linear` as a chain."""
    forward = linear(problem)
    weight = forward(torch.eye(problem.n_features).view(-1, *problem.shape)).T
    return Chain((Affine(weight.expand(replicates, -1, -1)),), forward, len(problem.shape))


def first_of(problem):
    """What a linear first fit answers on the pool."""
    X = problem.rows("train")[0]
    return FirstFit(linear(problem)(torch.as_tensor(X)).numpy(), X.reshape(len(X), -1))


def read_in_training(plugin, problem):
    """The splits that the training hooks read of a problem; each hook is called once."""
    given, forward = batch_of(problem), linear(problem)
    watched = watched_problem(problem)
    n = len(problem.splits["train"])
    seen = read_by_inputs(plugin, problem)
    plugin.labels(watched)
    plugin.weights(watched, np.arange(0, n, 2))
    plugin.reweigh(watched, np.arange(0, n, 2), first_of(problem))
    plugin.resample(watched, np.arange(0, n, 2), np.random.default_rng(0))
    plugin.gradient(SCHEDULE, n // 2)
    memory = {}
    for _ in range(2):
        plugin.adapt(memory, dataclasses.replace(given, memory=memory), forward, watched)
    given.memory = memory
    plugin.perturb(given, forward, watched)
    plugin.layer_loss(one_layer(problem), given, watched)
    return watched.seen | seen | ({"validation"} if plugin.fills("adapt") else set())


def read_by_inputs(plugin, problem):
    """The splits of which `inputs` reads rows other than those that it replaces.

    What a row becomes by itself is not a read of it: other rows are shuffled, and it must not move.
    """
    read = set()
    for split in ("train", "validation"):
        seen = plugin.inputs(problem, split)
        for name in ("train", "validation") if seen is not None else ():
            rows, moved = problem.splits[split], problem.splits[name][::2]
            order = np.random.default_rng(0).permutation(moved)
            arrays = {k: getattr(problem, k).copy() for k in ("X", "y", "group")}
            for array in arrays.values():
                array[moved] = array[order]
            after = plugin.inputs(dataclasses.replace(problem, **arrays), split)
            still = np.isin(rows, moved, invert=True)
            if not np.array_equal(seen[still], after[still]):
                read.add(POOL.get(name, name))
    return read


def read_when_deployed(plugin, system):
    """The splits that deployment and the deployed channels read of a system."""
    if plugin.deploys == "release":
        system = opened(system, "channel")
    watched = watched_system(system)
    deployed = cheap(plugin).deploy(watched)
    X, _, group = system.problem.rows("test")
    X = torch.as_tensor(X[:6])
    deployed.decide(X, group[:6])
    deployed.observed(deployed.logits(X))
    if deployed.explainer is not None:
        deployed.explain(X)
    if deployed.intervals is not None:
        deployed.intervals(X, 0)
    for score in deployed.set_predictors:
        deployed.sets(X, score, group[:6])
    return watched.problem.seen
