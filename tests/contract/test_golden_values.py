"""A number that moves without its plugin's version fails here."""

import dataclasses
import json

import pytest
import torch

from tests.conftest import make_problem, make_system
from tests.contract import golden_values as golden
from tests.contract.conftest import OPTIONS, of
from tests.tables import make_table
from trustbench.api.checks.opened import opened


@pytest.fixture(scope="module")
def systems(problem):
    """Bare systems, then systems with every channel open; each plugin supports one of them.

    In double precision, so that another processor's rounding turns no label and no rank.
    """
    five = make_problem(n=900, classes=5, groups=5, seed=1)
    two, more, table = (make_system(p, dtype=torch.float64) for p in (problem, five, make_table()))
    return two, more, table, *(opened(system, "channel", "release") for system in (two, table))


@pytest.fixture(scope="module")
def numbers_of(systems, image_problem):
    """The numbers of an option."""
    problems = (systems[0].problem, image_problem)

    def numbers(plugin, kind):
        if kind == "model":
            return golden.of_model(plugin, problems)
        compute = golden.of_evaluator if kind == "evaluator" else golden.of_intervention
        return compute(plugin, systems)

    return numbers


@of("model", "intervention", "evaluator")
def test_golden_numbers_move_with_the_version_alone(option, numbers_of):
    numbers = numbers_of(option.plugin, option.kind)
    assert numbers
    golden.check(golden.key(option), option.plugin.version, numbers)


def test_golden_numbers_are_kept_of_present_plugins_alone():
    kept = golden.read()
    assert set(kept) <= {golden.key(o) for o in OPTIONS}, "remove the entries of plugins that left"


def louder(measured):
    """The measurements, each a thousandth larger."""
    moved = (dataclasses.replace(m, values=m.values * 1.001) for m in measured.measurements)
    return dataclasses.replace(measured, measurements=tuple(moved))


def scaled(module):
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(1.001)
    return module


def attributing_more(system):
    shown = system.explainer
    return dataclasses.replace(system, explainer=lambda X, k: shown(X, k) * 1.001)


# A change of 1e-3 in what one method of a plugin returns.
PLANTED = [
    ("evaluator", "fairness", "measure", louder),
    ("model", "mlp", "build", scaled),
    ("intervention", "saliency", "deploy", attributing_more),
    ("intervention", "fairness_penalty", "objective", lambda loss: loss * 1.001),
    ("intervention", "gaussian_augmentation", "perturb", lambda X: X * 1.001),
]


@pytest.mark.parametrize(("kind", "name", "method", "change"), PLANTED, ids=[p[1] for p in PLANTED])
def test_a_change_of_a_thousandth_fails_until_the_version_says_so(
    kind, name, method, change, numbers_of, tmp_path, monkeypatch
):
    option = next(o for o in OPTIONS if (o.kind, o.name) == (kind, name))
    cls, entry = type(option.plugin), golden.key(option)
    monkeypatch.setattr(golden, "FILE", tmp_path / "plugins.json")
    golden.FILE.write_text(json.dumps({entry: {str(cls.version): numbers_of(option.plugin, kind)}}))
    real = getattr(cls, method)
    monkeypatch.setattr(cls, method, lambda *args: change(real(*args)))
    numbers = numbers_of(option.plugin, kind)

    monkeypatch.setenv(golden.UPDATE, "1")  # which adds versions and overwrites none
    with pytest.raises(AssertionError, match=r"other numbers than before.*raise the plugin's"):
        golden.check(entry, cls.version, numbers)
    monkeypatch.delenv(golden.UPDATE)
    monkeypatch.setattr(cls, "version", cls.version + 1)
    with pytest.raises(AssertionError, match=rf"version {cls.version}; run `make golden`"):
        golden.check(entry, option.plugin.version, numbers)
    monkeypatch.setenv(golden.UPDATE, "1")
    golden.check(entry, cls.version, numbers)
    monkeypatch.delenv(golden.UPDATE)
    golden.check(entry, cls.version, numbers)
    assert len(golden.read()[entry]) == 2, "the numbers of the old version stay"
