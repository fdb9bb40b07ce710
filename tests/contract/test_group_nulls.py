"""Every extreme and every gap over groups stands beside what random groups show.

The largest of several noisy numbers is large by noise alone. Such metrics are found twice: by their
names, and by what they do on a system whose groups mean nothing when there are more of them.
"""

import dataclasses
import re

import numpy as np
import pytest

from tests.conftest import make_problem, make_system
from tests.contract.conftest import OPTIONS, of
from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.findings import SCHEDULE
from trustbench.api.checks.opened import opened

GROUPED = re.compile(r"gap|worst_group|ratio|class_sd|disparity")
"""What a metric over groups or classes is called."""
NO_GROUPS = {
    "utility/train_test_gap": "members against test rows",
    "explanation_instability/false_confidence": "rows by confidence",
}
"""Metrics of such names that compare no groups, and what they compare."""
BY_GROUP = {"small_calibration/mondrian_": "the sets themselves have a threshold for each group"}
"""Metrics of methods that read the groups: means, of which no group stands out."""
GROUPINGS = 4


def released(system):
    """Every channel open that does not read the groups itself."""
    for layer in ("channel", "release"):
        for option in OPTIONS:
            plugin = option.plugin
            if option.kind != "intervention" or plugin.retrains or plugin.deploys != layer:
                continue
            blind = plugin.needs_group == "never" and option.canonical
            if blind and plugin.supports(system.problem, SCHEDULE) is None:
                deployed = cheap(plugin).deploy(system)
                system = system if deployed.abstains else deployed  # it answers every row
    return system


@pytest.fixture(scope="module")
def grouped():
    """{number of groups: systems whose groups mean nothing}, with every channel open."""
    system = make_system(make_problem(n=900), steps=0)
    return {
        groups: [released(regrouped(system, groups, seed)) for seed in range(GROUPINGS)]
        for groups in (2, 12)
    }


def regrouped(system, groups, seed):
    """The system with every row in a random one of that many groups."""
    problem, rng = system.problem, np.random.default_rng(seed)
    return dataclasses.replace(
        system,
        problem=dataclasses.replace(
            problem,
            group=rng.integers(groups, size=len(problem.group)),
            groups=tuple(f"g{i}" for i in range(groups)),
        ),
    )


def means(plugin, systems):
    """Name -> the means over replicates of each grouping, of what may be read as an effect."""
    found = {}
    for system in systems:
        for m in plugin.measure(system).measurements:
            if not m.diagnostic:
                found.setdefault(m.name, []).append((m.values.mean(), m.null))
    return found


def grows(few, many):
    """Whether a mean differs between few groups and many by far more than between groupings."""
    a, b = (np.array([value for value, _ in side]) for side in (few, many))
    error = np.hypot(a.std(ddof=1), b.std(ddof=1)) / np.sqrt(GROUPINGS)
    return abs(a.mean() - b.mean()) > 5 * error + 1e-9


@of("evaluator")
def test_what_grows_with_the_number_of_groups_has_a_null(option, grouped):
    plugin = cheap(option.plugin)
    if plugin.supports(grouped[2][0]) is not None:
        pytest.skip("needs a channel that reads groups; found by its names below")
    few, many = means(plugin, grouped[2]), means(plugin, grouped[12])
    lacking = [
        name
        for name, values in many.items()
        if values[0][1] is None and name in few and grows(few[name], values)
        if not f"{option.name}/{name}".startswith(tuple(BY_GROUP))
    ]
    assert not lacking, f"{option.name}: {lacking} change with the number of random groups"


def test_the_behaviour_shows_in_a_gap(grouped):
    """The test above fails on a gap without a null: here are the numbers of one."""
    plugin = cheap(next(o.plugin for o in OPTIONS if o.name == "fairness"))
    few, many = means(plugin, grouped[2]), means(plugin, grouped[12])
    assert grows(few["acc_gap"], many["acc_gap"])
    assert not grows(few["class_sd"], many["class_sd"])


@of("evaluator")
def test_what_is_called_a_gap_has_a_null(option, system, multiclass_system):
    plugin, lacking = cheap(option.plugin), []
    for some in (opened(system, "channel", "release"), multiclass_system):
        if plugin.supports(some) is not None:
            continue
        found = {m.name: m for m in plugin.measure(some).measurements}
        for name, m in found.items():
            if m.null is not None:
                null = found[m.null]
                assert m.null == f"{name}_permuted"
                assert null.diagnostic
                assert null.null is None
                assert (null.unit, null.higher_is_better) == (m.unit, m.higher_is_better)
                assert null.permuted is not None
                assert null.common_sd == pytest.approx(np.std(null.permuted, ddof=1))
            elif GROUPED.search(name) and not m.diagnostic:
                lacking.append(f"{option.name}/{name}")
    assert set(lacking) <= set(NO_GROUPS), "extremes over groups without a null"
