"""Shifts of known size from a baseline, and their null."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.conftest import make_problem, make_system
from tests.unit.evaluators.explainability.test_explanation_agreement import (
    linear,
    named,
    weights,
    with_twin,
)
from trustbench.evaluators.explainability.explanation_shift import ExplanationShift
from trustbench.methods.explanations.agreement import by_gradient

FEW = {"lime_points": 20, "samples": 100}


def against(arm, baseline):
    return dataclasses.replace(arm, baseline=lambda: baseline)


def scipy_shift(system, w, twin, others):
    """1 - Spearman of gradient x (x - mean) at points where all of these predict alike."""
    X = system.problem.rows("test")[0].astype(np.float64)
    moved = X - system.problem.rows("train")[0].mean(axis=0)
    out = []
    for own, second, third in zip(w, twin, others, strict=True):
        predicted = [X @ each > 0 for each in (own, second, third)]
        same = (predicted[0] == predicted[1]) & (predicted[0] == predicted[2])
        out.append(1 - np.mean([spearmanr(own * x, second * x).statistic for x in moved[same]]))
    return np.array(out)


@pytest.fixture
def three(system):
    """(arm's, baseline's, reseeded baseline's) weights: the arm far off, the twin close."""
    base = weights(0)
    return weights(1), base, base + 0.2 * weights(2)


def test_both_sides_differ_from_the_twin_of_the_baseline(system, three):
    arm, base, twin = (linear(system, w) for w in three)
    measured = ExplanationShift(points=10**6, **FEW).measure(against(arm, with_twin(base, twin)))
    found = named(measured)
    shift = scipy_shift(system, three[0], three[2], three[1])
    null = scipy_shift(system, three[1], three[2], three[0])
    np.testing.assert_allclose(found["shift"], shift, atol=1e-6)
    np.testing.assert_allclose(found["shift_reseed"], null, atol=1e-6)
    np.testing.assert_allclose(found["shift_excess"], shift - null, atol=1e-6)
    # planted: the arm compared with the baseline, whose seed it shares
    assert np.abs(scipy_shift(system, three[0], three[1], three[2]) - shift).max() > 0.1
    # LIME of a linear model sees the same three systems
    np.testing.assert_allclose(found["shift_lime"], shift, atol=0.3)
    np.testing.assert_allclose(found["shift_lime_reseed"], null, atol=0.1)
    assert [m.name for m in measured.measurements if not m.diagnostic] == ["shift", "shift_lime"]


def test_an_arm_that_retrained_nothing_shifts_as_far_as_reseeding(system):
    found = named(ExplanationShift(points=50, **FEW).measure(system))
    for name in ("shift", "shift_lime"):
        np.testing.assert_allclose(found[name], found[f"{name}_reseed"], atol=1e-6)
        np.testing.assert_allclose(found[f"{name}_excess"], 0, atol=1e-6)
        assert (found[name] > 0.001).all()


def excesses(seed, **arm):
    """(excess, null, shift from the baseline itself) of a system trained on the same halves."""
    problem = make_problem(n=400, seed=seed)
    baseline = make_system(problem, replicates=4, steps=60, seed=seed)
    own = make_system(problem, replicates=4, seed=seed, **arm)
    own = dataclasses.replace(own, baseline=lambda: baseline, draw=0)
    found = named(ExplanationShift(points=100, **FEW).measure(own))
    X = own.tensor(problem.rows("test")[0][:100])
    same = by_gradient(own, X, "gradient_x_input").spearman(
        by_gradient(baseline, X, "gradient_x_input")
    )
    return found["shift_excess"].mean(), found["shift_reseed"].mean(), 1 - np.nanmean(same)


def test_the_excess_is_centred_where_the_arm_is_the_baseline_with_another_seed():
    found = [excesses(seed, steps=60, draw=draw)[0] for seed in range(6) for draw in (2, 3)]
    assert abs(np.mean(found)) < 3 * np.std(found, ddof=1) / len(found) ** 0.5


def test_an_arm_with_the_baseline_s_own_seed_is_no_nearer_than_reseeding():
    """Trained a little longer: explanations hardly move, which is not a benefit of anything."""
    for seed in range(3):
        excess, null, from_baseline = excesses(seed, steps=64)
        assert from_baseline < null / 2, "the seed that both share"
        assert abs(excess) < null / 4


def test_a_reseed_control_is_not_compared_with_itself(system):
    """The control has the draw of the baseline's first twin; its reference is the second."""
    control = dataclasses.replace(system.reseeded(1), baseline=lambda: system)
    assert control.draw == 1
    found = named(ExplanationShift(points=100, **FEW).measure(control))
    assert (found["shift"] > 0.001).all()
    assert (found["shift_reseed"] > 0.001).all()


def test_the_baseline_has_nothing_to_shift_from(system):
    reason = ExplanationShift().supports(dataclasses.replace(system, baseline=None))
    assert reason == "the baseline has nothing to shift from"
    assert ExplanationShift().supports(system) is None


def test_a_constant_arm_has_neither_a_shift_nor_points_for_its_null(system, three):
    arm, base, twin = (linear(system, w) for w in (0 * three[0], three[1], three[2]))
    measured = ExplanationShift(points=100, **FEW).measure(against(arm, with_twin(base, twin)))
    assert set(measured.missing) == {
        f"{name}{part}" for name in ("shift", "shift_lime") for part in ("", "_reseed", "_excess")
    }
    assert "same_prediction" in named(measured)
