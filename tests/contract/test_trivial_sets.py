"""Sets that hold every label show no effect: every method that releases them, every reader."""

import dataclasses

import pytest

from tests.contract.conftest import OPTIONS
from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.findings import SCHEDULE
from trustbench.contracts.metrics import SCORES
from trustbench.methods.conformal import rows_needed

ALPHA = 0.001


def methods(system):
    """Every canonical method that releases prediction sets, at a level without enough rows."""
    for option in OPTIONS:
        plugin = option.plugin
        if option.kind != "intervention" or not option.canonical or not hasattr(plugin, "alpha"):
            continue
        if not plugin.fills("deploy") or plugin.supports(system.problem, SCHEDULE) is not None:
            continue
        less = {"beta": ALPHA / 10} if hasattr(plugin, "beta") else {}
        released = dataclasses.replace(cheap(plugin), alpha=ALPHA, **less).deploy(system)
        if released.set_predictors:
            yield option.name, released


@pytest.fixture(scope="module")
def trivial(multiclass_system):
    return dict(methods(multiclass_system))


READERS = [o for o in OPTIONS if o.kind == "evaluator" and "set_predictors" in o.plugin.reads]


def test_all_methods_are_among_them(trivial):
    assert len(trivial) >= 10
    released = {score for system in trivial.values() for score in system.set_predictors}
    assert released <= SCORES, "register the score, so that tables and policies may name it"
    assert {"raps", "saps", "rscp", "clustered_conformal", "size_equalised"} <= set(trivial)


@pytest.mark.parametrize("option", READERS, ids=[o.name for o in READERS])
def test_what_is_read_from_full_sets_is_missing_with_the_number_of_rows(option, trivial):
    for name, released in trivial.items():
        if option.plugin.supports(released) is not None:
            continue
        measured = cheap(option.plugin).measure(released)
        for m in measured.measurements:
            about = [s for s in released.set_predictors if m.name.endswith(f"_{s}")]
            assert not about or m.trivial, f"{option.name}: {m.name} of {name} is measured"
        for reason in {
            **measured.missing,
            **{m.name: m.trivial for m in measured.measurements},
        }.values():
            if reason is not None and "every set" in reason:
                number = int(reason.split("at least ")[1].split()[0])
                assert number >= rows_needed(ALPHA), (name, reason)
