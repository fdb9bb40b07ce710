"""Shifts of known size from a baseline, and their null."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.unit.evaluators.test_explanation_agreement import (
    linear,
    named,
    scipy_agreement,
    weights,
    with_twin,
)
from trustbench.evaluators.explanation_shift import ExplanationShift

FEW = {"lime_points": 20, "samples": 100}


def against(arm, baseline):
    return dataclasses.replace(arm, baseline=lambda: baseline)


@pytest.fixture
def three(system):
    """(arm's, baseline's, reseeded baseline's) weights: the arm far off, the twin close."""
    base = weights(0)
    return weights(1), base, base + 0.2 * weights(2)


def test_the_shift_is_from_the_baseline_and_the_null_within_it(system, three):
    arm, base, twin = (linear(system, w) for w in three)
    measured = ExplanationShift(points=10**6, **FEW).measure(against(arm, with_twin(base, twin)))
    found = named(measured)
    shift = 1 - scipy_agreement(system, three[0], three[1])
    null = 1 - scipy_agreement(system, three[2], three[1])
    np.testing.assert_allclose(found["shift"], shift, atol=1e-6)
    np.testing.assert_allclose(found["shift_reseed"], null, atol=1e-6)
    np.testing.assert_allclose(found["shift_excess"], shift - null, atol=1e-6)
    # planted: the null taken between the arm and the baseline's twin
    assert np.abs(1 - scipy_agreement(system, three[0], three[2]) - null).min() > 0.1
    # LIME of a linear model sees the same three systems
    np.testing.assert_allclose(found["shift_lime"], shift, atol=0.2)
    np.testing.assert_allclose(found["shift_lime_reseed"], null, atol=0.1)
    assert [m.name for m in measured.measurements if not m.diagnostic] == ["shift", "shift_lime"]


def test_an_arm_that_retrained_nothing_shifts_nothing(system):
    found = named(ExplanationShift(points=50, **FEW).measure(system))
    np.testing.assert_allclose(found["shift"], 0, atol=1e-6)
    np.testing.assert_allclose(found["shift_lime"], 0, atol=1e-6)
    np.testing.assert_allclose(found["shift_excess"], -found["shift_reseed"], atol=1e-6)
    assert (found["shift_reseed"] > 0.001).all()
    assert (found["shift_lime_reseed"] > 0.001).all()


def test_the_baseline_has_nothing_to_shift_from(system):
    reason = ExplanationShift().supports(dataclasses.replace(system, baseline=None))
    assert reason == "the baseline has nothing to shift from"
    assert ExplanationShift().supports(system) is None


def test_a_constant_arm_has_no_shift_but_the_null_stays(system, three):
    arm, base, twin = (linear(system, w) for w in (0 * three[0], three[1], three[2]))
    measured = ExplanationShift(points=100, **FEW).measure(against(arm, with_twin(base, twin)))
    assert set(measured.missing) == {"shift", "shift_excess", "shift_lime", "shift_lime_excess"}
    assert {"shift_reseed", "shift_lime_reseed"} <= set(named(measured))
    assert torch.isfinite(torch.as_tensor(named(measured)["shift_reseed"])).all()
