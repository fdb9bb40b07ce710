"""Surrogates of sets that are known functions, against scikit-learn, with planted errors."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from tests.unit.methods.explanations.test_lime_surrogate import with_categories
from trustbench.evaluators.explainability.explaining_uncertainty import (
    ExplainingUncertainty,
    deterministic,
)
from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.methods.conformal import calibrate
from trustbench.methods.explanations.lime_surrogate import Lime, Stream

FEW = {"points": 30, "samples": 200, "min_points": 1}


def named(measured):
    return {m.name: m.values for m in measured.measurements}


def releasing(system, **predictors):
    return dataclasses.replace(system, set_predictors=predictors)


def up_to(size):
    """Sets of the first size(logits) labels, as a predictor of (X, group)."""

    def of(system):
        def predict(X, group):
            logits = system.logits(X)
            labels = torch.arange(logits.shape[-1])
            return labels < size(logits, torch.as_tensor(group))[..., None]

        return predict

    return of


def test_a_set_that_steps_with_the_prediction_is_as_hard_as_the_prediction(system):
    """|C| = 1 + argmax is an affine map of 1[argmax = prediction], and R2 does not see those."""
    sets = up_to(lambda logits, group: 1 + logits.argmax(-1))
    found = named(ExplainingUncertainty(**FEW).measure(releasing(system, a=sets(system))))
    np.testing.assert_allclose(found["r2_set_size"], found["r2_argmax"], atol=1e-9)
    np.testing.assert_allclose(found["r2_set_size_a_mean"], found["r2_argmax_mean"], atol=1e-9)
    np.testing.assert_allclose(found["r2_drop_same_points"], 0, atol=1e-9)
    # planted: another step, at another logit margin
    other = up_to(lambda logits, group: 1 + (logits[..., 1] - logits[..., 0] > 1).long())
    moved = named(ExplainingUncertainty(**FEW).measure(releasing(system, a=other(system))))
    assert np.abs(moved["r2_set_size"] - moved["r2_argmax"]).max() > 0.01


def by_scikit_learn(system, target, points=30, samples=200, weighted=True):
    """R2 [n] of the first replicate's target(z), a loop over the evaluator's points."""
    streams, problem = system.streams, system.problem
    rows = streams.numpy("explanations", Stream.POINTS).permutation(len(problem.splits["test"]))
    X = system.tensor(problem.rows("test")[0][rows[:points]])
    area = Lime().neighbourhood(system)
    draws = area.around(X[None], area.noise(samples, streams.numpy("explanations", Stream.PROBE)))
    out, half = [], samples // 2
    designs = draws.design.expand(1, points, *draws.design.shape[2:])[0].numpy()
    weights = draws.weights.expand(1, points, -1)[0].numpy()
    for i in range(points):
        x, w = designs[i], weights[i]
        t = target(system.logits(draws.Z[0, i])[0], i)
        if np.ptp(t[half:]) == 0:
            continue
        model = Ridge(1.0).fit(x[:half], t[:half], sample_weight=w[:half] if weighted else None)
        weight = w[half:] if weighted else None
        out.append(r2_score(t[half:], model.predict(x[half:]), sample_weight=weight))
    return out


@pytest.mark.parametrize("categories", [False, True])
def test_medians_and_means_are_scikit_learns(multiclass_system, categories):
    system = multiclass_system
    if categories:
        system = dataclasses.replace(system, problem=with_categories(system.problem))
    released = SplitConformalSets(scores=("lac",)).deploy(system)
    found = named(ExplainingUncertainty(**FEW).measure(released))
    threshold = calibrate(released, "lac", 0.1).threshold[0]

    def size(logits, i):
        return (1 - logits.double().softmax(-1) <= threshold).sum(-1).double().numpy()

    r2 = by_scikit_learn(system, size)
    assert found["r2_set_size_lac"][0] == pytest.approx(np.median(r2), abs=1e-6)
    assert found["r2_set_size_lac_mean"][0] == pytest.approx(np.mean(r2), abs=1e-6)
    plain = by_scikit_learn(system, size, weighted=False)
    assert abs(found["r2_set_size_lac_mean"][0] - np.mean(plain)) > 1e-4


def test_perturbations_keep_the_group_of_their_row(system):
    """Group 0 gets a varying size, group 1 a constant one: only group 0's points have an R2."""

    def by_group(logits, group):
        return torch.where(group == 0, 1 + (logits[..., 1] > logits[..., 0]).long(), 1)

    measured = ExplainingUncertainty(**FEW).measure(releasing(system, a=up_to(by_group)(system)))
    everyone = up_to(lambda logits, group: 1 + (logits[..., 1] > logits[..., 0]).long())
    whole = ExplainingUncertainty(**FEW).measure(releasing(system, a=everyone(system)))
    streams, group = system.streams, system.problem.rows("test")[2]
    rows = streams.numpy("explanations", Stream.POINTS).permutation(len(group))[:30]
    least = (group[rows] == 1).sum() * system.replicates
    assert measured.facts["dropped_r2_set_size"] >= least > 0
    assert whole.facts["dropped_r2_set_size"] < measured.facts["dropped_r2_set_size"]
    # the null is read at the points of its target, and no others
    assert measured.facts["dropped_r2_argmax"] == measured.facts["dropped_r2_set_size"]
    assert measured.facts["dropped_r2_probability"] == whole.facts["dropped_r2_probability"]


def test_the_primary_is_the_score_that_throws_no_coin(multiclass_system):
    released = SplitConformalSets().deploy(multiclass_system)
    assert not deterministic(released, "aps")
    assert deterministic(released, "lac")
    measured = ExplainingUncertainty(**FEW).measure(released)
    found = named(measured)
    assert measured.facts["set_score"] == "lac"
    # at the points where the prediction varies too
    assert measured.facts["dropped_r2_set_size"] >= measured.facts["dropped_r2_set_size_lac"]
    assert {"r2_set_size_aps", "r2_set_membership_aps", "r2_probability"} <= set(found)
    assert {m.name for m in measured.measurements if m.diagnostic} == {
        f"r2_{name}{suffix}"
        for name in ("argmax", "argmax_set_membership", "probability", "drop_same_points")
        for suffix in ("", "_mean")
    }
    only = SplitConformalSets(scores=("aps",)).deploy(multiclass_system)
    measured = ExplainingUncertainty(**FEW).measure(only)
    assert measured.missing["r2_set_size"] == (
        "every released score draws random numbers, which no surrogate can explain"
    )
    assert "r2_set_size_aps" in named(measured)


def test_sets_that_never_change_have_no_r2(system):
    always = up_to(lambda logits, group: torch.ones(logits.shape[:2], dtype=torch.int64))
    measured = ExplainingUncertainty(**FEW).measure(releasing(system, a=always(system)))
    assert measured.missing["r2_set_size"] == (
        "the target, or one it is compared with, varies around only 0 of 30 points of a "
        "replicate; a median needs 1"
    )
    assert measured.facts["dropped_r2_set_size"] == 30 * system.replicates
    assert measured.missing["r2_argmax"] == measured.missing["r2_set_size"]
    assert "r2_probability" in named(measured)


def test_a_step_of_the_prediction_s_own_kind_is_no_harder(system):
    """No effect: sets that step at the prediction, and where it is sure nowhere else.

    Around half of the rows the set is constant, so that the prediction is easier or harder to
    explain at the rows that are left; read at the same rows, the two do not differ.
    """

    def size(logits, group):
        return torch.where(group == 0, 1 + logits.argmax(-1), 1)

    measured = ExplainingUncertainty(**FEW).measure(releasing(system, a=up_to(size)(system)))
    found = named(measured)
    np.testing.assert_allclose(found["r2_set_size"], found["r2_argmax"], atol=1e-9)
    assert measured.facts["dropped_r2_argmax"] > 0


def test_it_needs_sets(system):
    reason = ExplainingUncertainty().supports(system)
    assert reason == "needs released prediction sets (intervention=conformal)"
