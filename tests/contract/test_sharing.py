"""An evaluation taken from the baseline equals the one computed anew, bit for bit.

`runner` shares it where an arm keeps the baseline's replicates and changes no channel that the
evaluator reads; here the same is computed on an arm with every such method deployed.
"""

import dataclasses

import pytest

from tests.conftest import make_system
from tests.contract.conftest import OPTIONS, of
from tests.contract.test_reads import differences
from tests.tables import make_table
from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.findings import SCHEDULE
from trustbench.contracts import CHANNELS

LAYERS = ("outputs", "channel", "release")
DEPLOYED = sorted(
    (o for o in OPTIONS if o.kind == "intervention" and o.canonical and not o.plugin.retrains),
    key=lambda o: LAYERS.index(o.plugin.deploys),
)


@pytest.fixture(scope="module")
def system():
    return make_system(make_table())


def changed(before, after):
    return {c for c in CHANNELS if getattr(before, c) is not getattr(after, c)}


def deployed(system, untouched):
    """The system after every method that leaves the channels `untouched` alone, and their names."""
    bare, names = system, []
    for option in DEPLOYED:
        plugin = cheap(option.plugin)
        needs = plugin.deploys == "release" and system.explainer is None
        if needs or plugin.supports(system.problem, SCHEDULE) is not None:
            continue
        after = plugin.deploy(system)
        if not changed(system, after) & untouched:
            system = after
            names.append(option.name)
    twins = system.reseeded if not names else lambda k: deployed(bare.reseeded(k), untouched)[0]
    return dataclasses.replace(system, reseeded=twins), names


@of("evaluator")
def test_a_shared_evaluation_is_what_would_be_computed(option, system):
    plugin = cheap(option.plugin)
    baseline = dataclasses.replace(system, baseline=None)
    arm, names = deployed(system, set(plugin.depends_on))
    if not names:
        pytest.skip("it reads every channel, so nothing is shared")
    if plugin.supports(baseline) is not None:
        return  # only a measurement of the baseline's is ever shared
    assert plugin.supports(arm) is None, f"the baseline is measured, an arm with {names} is not"
    assert differences(plugin, baseline, arm) == []


def test_most_methods_leave_most_evaluators_alone(system):
    """The test above would pass on nothing: this many methods are deployed beside accuracy."""
    reads = next(o.plugin.reads for o in OPTIONS if o.name == "utility")
    assert len(deployed(system, set(reads))[1]) >= 12


@of("evaluator")
def test_no_evaluation_is_shared_with_an_arm_on_other_test_rows(option):
    assert "data" in option.plugin.depends_on
    assert option.plugin.depends_on - option.plugin.reads <= {"data"}
