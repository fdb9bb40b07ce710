"""What an evaluator declares in `needs` is what it asks a system for: no less, and no more.

Another system is trained before measuring because it is declared, so what is declared and not
used costs a training, and what is used and not declared fails the arm.
"""

import dataclasses

import pytest

from tests.conftest import make_system
from tests.contract.conftest import of
from tests.tables import make_table
from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.opened import opened
from trustbench.contracts import NEEDS


@pytest.fixture(scope="module")
def systems():
    """An arm beside its baseline with every channel closed, and open; the baseline; a control."""
    arm = make_system(make_table())
    baseline = dataclasses.replace(arm, baseline=None)
    control = dataclasses.replace(arm.reseeded(1), baseline=lambda: baseline)
    released = opened(arm, "channel", "release")
    return [arm, released, baseline, opened(baseline, "channel"), control]


def noted(system, asked):
    """The system, which notes in `asked` what an evaluator asks it for."""

    def baseline():
        asked.add("baseline")
        made = system.baseline()
        return dataclasses.replace(made, reseeded=lambda k: draw("baseline_reseed", made, k))

    def draw(need, of, k):
        allowed = {1} if need == "reseed" else {1, system.draw + 1}
        assert k in allowed, f"{need} gives draws {allowed}, not {k}"
        asked.add(need)
        return of.reseeded(k)

    def shadows():
        asked.add("shadows")
        return system.reseeded(7)

    own = "reseed" if system.baseline else "own reseed"
    return dataclasses.replace(
        system,
        baseline=baseline if system.baseline else None,
        reseeded=lambda k: draw(own, system, k),
        shadows=shadows,
    )


@of("evaluator")
def test_an_evaluator_asks_for_what_it_needs(option, systems):
    plugin, ever = cheap(option.plugin), set()
    assert plugin.needs <= set(NEEDS)
    for system in systems:
        asked = set()
        under_watch = noted(system, asked)
        if plugin.supports(under_watch) is not None:
            continue
        assert not asked, "`supports` may only look whether there is another system"
        plugin.measure(under_watch)
        declared = set(plugin.needs_of(under_watch))
        if system.baseline is None:  # its own other draws are the baseline's
            declared = {n if n == "shadows" else "own reseed" for n in declared - {"baseline"}}
        assert asked == declared
        ever |= plugin.needs_of(under_watch)
    assert ever == plugin.needs
