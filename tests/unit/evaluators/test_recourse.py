"""What is measured of advice, where the answer is known: linear models, planted advice."""

import dataclasses

import numpy as np
import pytest
import torch

from trustbench.api.checks.toys import make_problem, make_system
from trustbench.contracts import Feature
from trustbench.evaluators.explainability.recourse import CounterfactualValidity
from trustbench.evaluators.fairness.recourse_gap import RecourseGap
from trustbench.evaluators.privacy.recourse_membership import RecourseMembership
from trustbench.evaluators.robustness.recourse_distance import RecourseDistance
from trustbench.interventions.explainability.counterfactuals import CounterfactualRelease
from trustbench.interventions.fairness.threshold_postprocessing import ThresholdPostprocessing
from trustbench.interventions.privacy.dp_explanations import PrivateExplanations
from trustbench.methods.explanations.released import explained_points

W = torch.tensor([3.0, 4.0, 0.0])


def linear(problem, weights=W, replicates=2):
    """Replicates whose log-odds are weights . x."""
    system = make_system(problem, replicates=replicates, steps=0)

    def forward(X):
        odds = X.expand(replicates, *X.shape[-2:]) @ weights
        return torch.stack([-odds / 2, odds / 2], -1)

    return dataclasses.replace(system, forward=forward, reseeded=None)


def wide(**changes):
    """Three numbers within wide bounds."""
    base = make_problem(n=900, d=3)
    features = (Feature(f.name, "numeric", f.columns, -20.0, 20.0) for f in base.features)
    return dataclasses.replace(
        base, features=tuple(dataclasses.replace(f, **changes.get(f.name, {})) for f in features)
    )


def values(measured):
    return {m.name: m.values for m in measured.measurements}


def test_the_distance_is_the_margin_over_the_norm_of_the_weights():
    problem = wide()
    system = linear(problem)
    odds = explained_points(system, 200)[0] @ W
    exact = float((-odds[odds <= 0] / 5).mean())
    measured = values(RecourseDistance(points=200, iterations=60).measure(system))
    assert (measured["mean_distance"] >= exact - 1e-4).all()
    assert measured["mean_distance"] == pytest.approx(exact, rel=0.08)
    fixed = values(RecourseDistance(points=200).measure(linear(wide(x1={"mutable": False}))))
    assert (fixed["mean_distance"] > exact * 1.5).all()  # 5/3: the steeper column is not to be had
    assert (fixed["unreachable"] == 0).all()


def test_after_drift_advice_is_valid_with_the_probability_of_a_normal_distribution():
    system = CounterfactualRelease(margin=1.0).deploy(linear(wide()))
    given = CounterfactualValidity(points=300, drift=0.2, random_draws=400)
    measured = values(given.measure(system))
    # log-odds of 1 beyond the boundary, which drift moves by N(0, (.2 * 5)^2)
    assert measured["validity_drift"] == pytest.approx(0.8413, abs=0.05)
    assert (measured["validity"] == 1).all()
    assert measured["columns"] == pytest.approx(2.0)  # the third has no weight


def test_a_twin_that_asks_for_more_honours_only_advice_with_a_margin():
    problem = wide()
    stricter = linear(problem)
    forward = stricter.forward
    stricter = dataclasses.replace(
        stricter, forward=lambda X: forward(X) + torch.tensor([0.5, 0.0])
    )
    system = dataclasses.replace(linear(problem), reseeded=lambda k: stricter)
    for margin, honoured in ((0.0, 0.0), (1.0, 1.0)):
        advising = CounterfactualRelease(margin=margin).deploy(system)
        found = values(CounterfactualValidity().measure(advising))
        assert found["validity_reseed"] == pytest.approx(honoured, abs=0.01)


def test_advice_that_a_person_cannot_follow_counts_as_none():
    problem = wide(x1={"mutable": False})
    honest = CounterfactualRelease().deploy(linear(problem))
    # planted: the search of a problem in which everything may change, released for this one
    careless = CounterfactualRelease().deploy(linear(wide()))
    careless = dataclasses.replace(careless, problem=problem)
    assert (values(CounterfactualValidity().measure(honest))["validity"] == 1).all()
    found = CounterfactualValidity().measure(careless)
    assert (values(found)["validity"] == 0).all() and (values(found)["respected"] == 0).all()
    assert "allowed" in found.missing["validity_drift"]


def test_noise_on_advice_asks_people_to_change_what_they_cannot():
    problem = wide(x1={"mutable": False})
    advising = CounterfactualRelease().deploy(linear(problem))
    noisy = PrivateExplanations().deploy(advising)
    rows = noisy.tensor(problem.rows("test")[0][:9])
    assert (advising.explain(rows)[..., 1] == 0).all()
    assert not (noisy.explain(rows)[..., 1] == 0).any()


def test_a_group_that_is_farther_away_has_to_change_more():
    base = wide()
    X = base.X.copy()
    X[:, :2] = -1.0 - 2.0 * base.group[:, None] + 0.1 * X[:, :2]
    problem = dataclasses.replace(base, X=X)
    measured = values(RecourseGap(min_group=10, iterations=60).measure(linear(problem)))
    # 7/5 of a unit for the nearer group, 21/5 for the other: everybody is refused
    assert measured["cost_gap"] == pytest.approx(2.8, rel=0.15)
    assert measured["cost_gap"] == pytest.approx(measured["burden_gap"])
    assert (measured["cost_gap_permuted"] < 1).all()


def test_far_away_rows_are_called_members():
    problem = wide()
    system = linear(problem, replicates=4)
    X = problem.rows("train")[0]
    odds = X @ W.numpy()
    # a member is the farther half of the refused rows, or not a refused row at all
    member = np.stack([odds < np.median(odds[odds < 0])] * 4)
    told = dataclasses.replace(system, membership=member)
    found = values(RecourseMembership(points=200, iterations=60).measure(told))
    assert (found["auc_distance"] > 0.97).all() and (found["auc_probability"] == 1).all()
    rng = np.random.default_rng(0)
    idle = dataclasses.replace(system, membership=rng.random((4, len(X))) < 0.5)
    assert (
        abs(values(RecourseMembership(points=10**4).measure(idle))["auc_distance"].mean() - 0.5)
        < 0.1
    )


def test_without_advice_for_one_side_there_is_nothing_to_attack():
    system = linear(wide())
    out = dataclasses.replace(system, membership=np.zeros_like(system.membership))
    found = RecourseMembership(points=50, iterations=5).measure(out)
    assert not found.measurements
    assert {"advice" in why for why in found.missing.values()} == {True}
    assert len(found.missing) == 3


def test_a_rule_of_its_own_may_refuse_what_the_model_accepts():
    system = make_system(make_problem(shift=0.4), replicates=4)
    ruled = ThresholdPostprocessing().deploy(system)
    assert "rule of their own" in RecourseDistance().supports(ruled)
    assert "rule of their own" in RecourseMembership().supports(ruled)
    assert CounterfactualValidity().supports(ruled) is None
    plain, overruled = (values(CounterfactualValidity().measure(s)) for s in (system, ruled))
    assert (overruled["validity"] < plain["validity"]).all()


def test_what_has_no_recourse_says_why():
    pixels = wide()
    pixels = dataclasses.replace(
        pixels, features=tuple(Feature(f.name, "pixel", f.columns, 0, 1) for f in pixels.features)
    )
    fixed = wide(**{f"x{j}": {"mutable": False} for j in range(3)})
    several = make_problem(n=900, classes=5, groups=5)
    for problem, why in ((pixels, "pixels"), (fixed, "actionable"), (several, "favourable")):
        for plugin in (RecourseDistance(), CounterfactualValidity(), RecourseGap()):
            assert why in plugin.supports(make_system(problem, replicates=2, steps=0))
        assert why in CounterfactualRelease().supports(problem, None)
    named = dataclasses.replace(several, favoured=(3, 4))
    system = make_system(named, replicates=2)
    assert (values(CounterfactualValidity().measure(system))["validity"] > 0.9).all()
