"""Decisions may be ABSTAIN: an evaluator says what it makes of that, or is not applicable."""

import dataclasses

import numpy as np
import pytest

from tests.conftest import make_system
from tests.contract.conftest import of
from tests.tables import make_table
from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.opened import opened
from trustbench.config.arms import Chosen
from trustbench.contracts import ABSTAIN
from trustbench.evaluators.coverage import Coverage
from trustbench.evaluators.fairness.fairness import Fairness
from trustbench.evaluators.utility import Utility
from trustbench.execution.measure import _evaluate


def guarded(system, margin):
    """The system, undecided where the two largest logits are closer than `margin`."""

    def decide(X, group):
        top = system.logits(X).topk(2, dim=-1)
        certain = top.values[..., 0] - top.values[..., 1] >= margin
        return top.indices[..., 0].where(certain, ABSTAIN)

    return dataclasses.replace(system, decider=decide, abstains=True)


@pytest.fixture(scope="module")
def bare():
    return make_system(make_table())


@pytest.fixture(scope="module")
def released(bare):
    return opened(bare, "channel", "release")


@of("evaluator")
def test_an_evaluator_that_reads_decisions_takes_abstention_or_is_not_applicable(
    option, bare, released
):
    plugin = cheap(option.plugin)
    alone = next((s for s in (bare, released) if plugin.supports(s) is None), None)
    if alone is None or "decider" not in plugin.reads:
        assert not option.plugin.takes_abstention or "decider" in plugin.reads
        return
    evaluation, arrays = _evaluate(Chosen(option.name, plugin), guarded(alone, 1.0))
    if not plugin.takes_abstention:
        assert evaluation.status == "unsupported"
        assert "may abstain" in evaluation.reason
        return
    assert evaluation.status == "ok", evaluation.reason
    assert evaluation.measurements
    same, _ = _evaluate(Chosen(option.name, plugin), guarded(alone, -1.0))
    assert same.measurements != evaluation.measurements, "to abstain makes a difference"
    assert all(np.isfinite(a).all() for a in arrays.values())


def values(plugin, system):
    return {m.name: m.values for m in plugin.measure(system).measurements}


def test_accuracy_states_the_coverage_that_it_has(bare):
    shy = guarded(bare, 4.0)
    X, y, group = bare.problem.rows("test")
    decided = shy.decide(bare.tensor(X), group).numpy()
    assert 0.02 < (decided == ABSTAIN).mean() < 0.8
    found = values(Utility(), shy)
    np.testing.assert_allclose(found["accuracy"], (decided == y).mean(1))
    beside = values(Coverage(), shy)
    np.testing.assert_allclose(beside["coverage"], (decided >= 0).mean(1))
    np.testing.assert_allclose(beside["coverage"] * beside["selective_accuracy"], found["accuracy"])
    assert Utility().measure(shy).facts == {"coverage": pytest.approx(beside["coverage"].mean())}
    assert Utility().measure(bare).facts == {}
    every = values(Coverage(), bare)
    assert (every["coverage"] == 1).all()
    np.testing.assert_array_equal(every["selective_accuracy"], values(Utility(), bare)["accuracy"])
    silent = Coverage().measure(guarded(bare, 1e9))
    assert silent.missing["selective_accuracy"] == "a replicate decides no test row"


def test_an_undecided_row_is_not_a_favourable_one(bare):
    """A code of -1 must not pick the last class, which is the favourable one."""
    shy = guarded(bare, 4.0)
    X, _, group = bare.problem.rows("test")
    yes = shy.decide(bare.tensor(X), group).numpy() == 1
    rates = np.stack([yes[:, group == g].mean(1) for g in (0, 1)])
    np.testing.assert_allclose(values(Fairness(), shy)["dp_gap"], np.abs(rates[0] - rates[1]))


def test_a_decider_that_abstains_without_saying_so_is_a_bug_and_not_a_number(bare):
    sly = dataclasses.replace(guarded(bare, 4.0), abstains=False)
    with pytest.raises(ValueError, match="`abstains` of the system is not set"):
        Utility().measure(sly)
