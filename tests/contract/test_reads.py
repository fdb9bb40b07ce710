"""What an evaluator declares in `reads` is what its numbers depend on: no less, and no more.

Arms that changed nothing of it are given the baseline's evaluation, so a channel that is read
but not declared would put a wrong number into the table, without a word.
"""

import dataclasses
from functools import partial

import numpy as np
import pytest
import torch

from tests.conftest import make_system
from tests.contract.conftest import OPTIONS, of
from tests.tables import make_table
from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.opened import methods, opened
from trustbench.contracts import CHANNELS

# One more value of every channel, unlike what any intervention puts there.
PLANTED = {
    "data": lambda system: _shifted(system.problem),
    "forward": lambda system: partial(_rotated, system),
    "decider": lambda system: partial(_second_best, system),
    "interface": lambda system: _top_label,
    "explainer": lambda system: partial(_noise, system),
    "intervals": lambda system: partial(_around_noise, system),
    "set_predictors": lambda system: {
        score: partial(_two_best, system) for score in ("lac", "aps", "raps", "saps", "rscp_aps")
    },
}


def _shifted(problem):
    """The problem with other test rows: their inputs a unit off, labels and groups in reverse."""
    rows = problem.splits["test"]
    X, y, group = problem.X.copy(), problem.y.copy(), problem.group.copy()
    X[rows] += np.float32(0.25)
    y[rows], group[rows] = y[rows[::-1]], group[rows[::-1]]
    return dataclasses.replace(problem, X=X, y=y, group=group)


def _louder(chain, forward):
    """The same layers but for the last bias."""
    *layers, last = chain.layers
    favoured = torch.arange(last.bias.shape[-1], device=last.bias.device)
    last = dataclasses.replace(last, bias=last.bias + favoured)
    return dataclasses.replace(chain, layers=(*layers, last), of=forward)


def _rotated(system, X):
    return system.forward(X).roll(1, dims=-1)


def _second_best(system, X, group):
    return system.logits(X).topk(2, dim=-1).indices[..., 1]


def _top_label(logits):
    return (logits == logits.amax(-1, keepdim=True)).double()


def _noise(system, X, repeat):
    generator = torch.Generator().manual_seed(repeat)
    rows = X.shape[-1 - len(system.problem.shape)]
    return torch.randn(system.replicates, rows, system.problem.n_features, generator=generator)


def _around_noise(system, X, repeat):
    centre = _noise(system, X, repeat)
    return centre - 0.1, centre + 0.1


def _two_best(system, X, group):
    logits = system.logits(X)
    return logits >= logits.topk(2, dim=-1).values[..., 1:]


def planted(system, channels):
    """The system, and the same arm's other draws, with other values in these channels."""
    named = {"data": "problem", "chain": "parameters"}
    fields = {named.get(c, c): PLANTED[c](system) for c in channels - {"chain"}}
    if "chain" in channels:
        forward = fields.get("forward", system.forward)
        fields["parameters"] = _louder(system.chain, forward) if system.chain else None
    return dataclasses.replace(
        system,
        **fields,
        reseeded=lambda k: planted(system.reseeded(k), channels),
    )


def everything(plugin, system):
    """All that an evaluation records."""
    found = plugin.measure(system)
    numbers = {m.name: np.append(m.values, m.n) for m in found.measurements}
    told = {f"fact {k}": np.asarray(v) for k, v in found.facts.items()}
    lacking = {f"missing {k}": np.asarray(v) for k, v in found.missing.items()}
    kept = {f"array {k}": np.asarray(v) for k, v in found.arrays.items()}
    return {**numbers, **told, **lacking, **kept}


def differences(plugin, one, other):
    """The names of what differs between the evaluations of two systems."""
    a, b = everything(plugin, one), everything(plugin, other)
    shared = (name for name in a.keys() & b.keys() if not np.array_equal(a[name], b[name]))
    return sorted((a.keys() ^ b.keys()) | set(shared))


@pytest.fixture(scope="module")
def system():
    """Replicates on a table whose sensitive attribute is an input, which some evaluators need."""
    return make_system(make_table())


@pytest.fixture(scope="module")
def released(system):
    """The system with every channel open, as an arm beside its baseline."""
    return opened(system, "channel", "release")


def pairs(plugin, system, released, channels):
    """(a system that the evaluator supports, the same with other values in `channels`)."""
    alone = dataclasses.replace(system, baseline=None)  # what the baseline's own evaluation saw
    bare = next((s for s in (alone, system) if plugin.supports(s) is None), None)
    if bare is not None:
        yield bare, dataclasses.replace(planted(system, channels), facts=released.facts)
    if plugin.supports(released) is None and plugin.reads != {"forward"}:
        yield released, planted(released, channels)
    # some read explanations only where they are counterfactuals
    if bare is not None and "explainer" in plugin.reads:
        told = advising(alone)
        if plugin.supports(told) is None:
            yield told, planted(told, channels)


def advising(system):
    """The system with explanations that say what to change."""
    every = (m.deploy(system) for m in methods() if m.deploys == "channel")
    return next(s for s in every if s.facts.get("attributions") == "changes")


@of("evaluator")
def test_what_an_evaluator_does_not_read_changes_nothing(option, system, released):
    plugin = cheap(option.plugin)
    assert plugin.reads <= set(CHANNELS)
    unread = set(CHANNELS) - plugin.depends_on
    found = list(pairs(plugin, system, released, unread))
    assert found
    for one, other in found:
        assert differences(plugin, one, other) == []


READ = [
    (o, c) for o in OPTIONS if o.kind == "evaluator" for c in sorted(o.plugin.reads - {"forward"})
]


@pytest.mark.parametrize(("option", "channel"), READ, ids=[f"{o.name}-{c}" for o, c in READ])
def test_a_channel_that_an_evaluator_reads_changes_something(option, channel, system, released):
    """Declaring too much only costs time; that a change is seen also tests the test above."""
    plugin = cheap(option.plugin)
    found = pairs(plugin, system, released, {channel})
    assert any(differences(plugin, one, other) for one, other in found)
