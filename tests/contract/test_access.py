"""What an evaluator uses of a model: it declares it, and measures nothing with less."""

import dataclasses

import pytest
import torch

from tests.conftest import make_problem, make_system
from tests.contract.conftest import of
from tests.contract.watched import WatchedSystem
from tests.tables import make_table
from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.opened import opened

UNSEEN = {"replicates", "parameters"}
"""What cannot be observed from outside: whether the other replicates are models to compare with."""


def recorded(system, used, access):
    """The system with this access, which notes in `used` what an evaluator uses of it."""
    rows = {row.tobytes() for row in system.problem.X}

    def known(X):
        flat = X.detach().reshape(-1, *system.problem.shape).cpu().numpy()
        return all(row.tobytes() in rows for row in flat)

    def forward(X):
        used.update(["gradients"] if X.requires_grad else [])
        used.add("logits" if known(X) else "queries")
        return system.forward(X)

    def decide(X, group):
        used.update([] if known(X) else ["queries"])
        with torch.no_grad():
            return system.decider(X, group) if system.decider else system.forward(X).argmax(-1)

    def other(of):
        return None if of is None else lambda *k: recorded(of(*k), used, access)

    class Recorded(WatchedSystem):
        def __getattribute__(self, name):
            if name == "membership":
                used.add("members")
            return super(WatchedSystem, self).__getattribute__(name)

    fields = {f.name: getattr(system, f.name) for f in dataclasses.fields(system) if f.init}
    fields |= {"baseline": other(system.baseline), "reseeded": other(system.reseeded)}
    if "logits" not in access:
        fields["decider"] = decide
    fields["parameters"] = system.chain and dataclasses.replace(system.chain, of=forward)
    return Recorded(**{**fields, "forward": forward, "access": access})


@pytest.fixture(scope="module")
def places(system):
    return [
        system,
        opened(system, "channel", "release"),
        make_system(make_table()),
        opened(make_system(make_table()), "channel", "release"),
        make_system(make_problem(), replicates=8, steps=60),
    ]


@of("evaluator")
def test_an_evaluator_uses_what_it_declares(option, places):
    plugin, used = cheap(option.plugin), set()
    for system in places:
        if plugin.supports(system) is None:
            plugin.measure(recorded(system, used, plugin.access))
    assert used == plugin.access - UNSEEN
