"""Sets that hold every label: whoever reads them says which level needs how many rows."""

import dataclasses

import pytest
import torch

from trustbench.errors import ConfigError
from trustbench.evaluators.explainability.explaining_uncertainty import ExplainingUncertainty
from trustbench.evaluators.fairness.set_size_gap import SetSizeGap
from trustbench.evaluators.privacy.attacker_views import AttackerViews
from trustbench.evaluators.robustness.set_attack import SetAttack
from trustbench.evaluators.uncertainty.attacked_uncertainty import AttackedUncertainty
from trustbench.evaluators.uncertainty.released_sets import ReleasedSets
from trustbench.evaluators.uncertainty.small_calibration import SmallCalibration
from trustbench.evaluators.uncertainty.uncertainty import Uncertainty
from trustbench.interventions.fairness.mondrian import MondrianSets
from trustbench.interventions.fairness.size_equalised import SizeEqualisedSets
from trustbench.interventions.privacy.private_conformal import PrivateSets
from trustbench.interventions.uncertainty.attacked_calibration import AttackedCalibration
from trustbench.interventions.uncertainty.class_conditional import ClassConditionalSets
from trustbench.interventions.uncertainty.clustered_conformal import ClusteredSets
from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.interventions.uncertainty.raps import RegularisedSets
from trustbench.interventions.uncertainty.rscp import RSCP
from trustbench.interventions.uncertainty.saps import SortedSets
from trustbench.methods.conformal import rows_needed, thresholds, too_few_rows

ATTACK = SetAttack(steps=1, points=10)
READERS = {
    "set_size_gap/gap_aps": SetSizeGap(min_group=5),
    "set_attack/coverage_attacked_aps": ATTACK,
    "released_sets/shortfall_aps": ReleasedSets(min_class=5),
    "attacker_views/auc_label_set": AttackerViews(points=40, iterations=2),
    "explaining_uncertainty/r2_set_size_lac": ExplainingUncertainty(points=4, samples=20),
}
LEVELS = {
    "uncertainty/lac_size": Uncertainty(alpha=0.001),
    "attacked_uncertainty/aps_size_attacked": AttackedUncertainty(alpha=0.001, points=10, steps=1),
    "small_calibration/breach_50": SmallCalibration(alpha=0.001, sizes=(50,), draws=2),
}


def told(measured):
    return {m.name for m in measured.measurements}


@pytest.mark.parametrize("metric", READERS)
def test_sets_of_a_level_without_rows_are_missing_with_the_number(multiclass_system, metric):
    released = SplitConformalSets(alpha=0.001).deploy(multiclass_system)
    rows = released.calibration.shape[1]
    measured, name = READERS[metric].measure(released), metric.split("/")[1]
    reason = f"alpha=0.001 needs at least 999 calibration rows, there are {rows}"
    assert name not in told(measured)
    assert reason in measured.missing[name]


@pytest.mark.parametrize("metric", LEVELS)
def test_probes_of_a_level_without_rows_are_missing_with_the_number(multiclass_system, metric):
    measured, name = LEVELS[metric].measure(multiclass_system), metric.split("/")[1]
    assert name not in told(measured)
    assert "alpha=0.001 needs at least 999 calibration rows" in measured.missing[name]


def few(system, rows):
    return dataclasses.replace(system, calibration=system.calibration[:, :rows])


METHODS = {
    "split": (SplitConformalSets(), 9),
    "raps": (RegularisedSets(), 9),
    "saps": (SortedSets(), 9),
    "clustered": (ClusteredSets(), 9),
    "size-equalised": (SizeEqualisedSets(), 17),
    "size-equalised, most rows for the curves": (SizeEqualisedSets(fraction=0.8), 41),
    "private": (PrivateSets(), 42),
    "attacked": (AttackedCalibration(steps=1), 9),
    "rscp": (RSCP(samples=4), 9),
    "rscp+": (RSCP(samples=4, plus=True), 10),
}


@pytest.mark.parametrize("name", METHODS)
def test_each_method_says_how_many_rows_it_needs_and_no_fewer_do(multiclass_system, name):
    method, needed = METHODS[name]
    lacking = method.deploy(few(multiclass_system, needed - 1))
    reason = f"needs at least {needed} calibration rows, there are {needed - 1}: every set holds"
    measured = ReleasedSets(min_class=5).measure(lacking)
    assert measured.missing
    assert all(reason in told for told in measured.missing.values())
    enough = method.deploy(few(multiclass_system, needed))
    score = next(iter(enough.set_predictors))
    if name != "rscp+":
        assert f"set_trivial_{score}" not in enough.facts
        X, _, group = multiclass_system.problem.rows("test")
        assert not enough.sets(torch.as_tensor(X), score, group).all()
    else:
        assert "with samples=4 the bounds of RSCP+" in enough.facts[f"set_trivial_{score}"]


@pytest.mark.parametrize("method", [MondrianSets, ClassConditionalSets])
def test_methods_by_category_say_where_rows_are_lacking(multiclass_system, method):
    """90 rows are enough for one threshold at this level, and 18 in each category are not."""
    measured = ReleasedSets(min_class=5).measure(method(alpha=0.03).deploy(multiclass_system))
    assert "33 are needed in each of " in measured.missing["coverage_aps"]


def test_rscp_that_is_wider_than_the_scores_says_what_to_change(multiclass_system):
    released = RSCP(samples=4, delta=50.0).deploy(multiclass_system)
    assert "give a smaller delta" in ReleasedSets().measure(released).missing["coverage_aps"]


def test_methods_of_one_system_agree_on_the_level(multiclass_system):
    with pytest.raises(ConfigError, match=r"at alpha=0.1 and alpha=0.2"):
        RSCP(samples=2, alpha=0.2).deploy(RegularisedSets().deploy(multiclass_system))


def test_what_was_said_of_sets_is_not_said_of_those_in_their_place(multiclass_system):
    short = MondrianSets(alpha=0.03).deploy(multiclass_system)
    assert short.facts["set_without_threshold_aps"]
    assert "set_without_threshold_aps" not in RSCP(alpha=0.03, samples=2).deploy(short).facts


def test_sizes_of_full_sets_are_measured_and_say_why_they_show_nothing(multiclass_system):
    released = RegularisedSets(alpha=0.001).deploy(multiclass_system)
    for evaluator, name in ((ReleasedSets(), "size_raps"), (ATTACK, "size_attacked_raps")):
        found = {m.name: m for m in evaluator.measure(released).measurements}
        assert (found[name].values == 5).all()
        assert "needs at least 999" in found[name].trivial


def test_informative_sets_are_measured_as_before(multiclass_system):
    measured = SetSizeGap(min_group=5).measure(SplitConformalSets().deploy(multiclass_system))
    assert not measured.missing
    assert "gap_aps" in told(measured)


@pytest.mark.parametrize("alpha", [0.5, 0.3, 0.1, 0.05, 0.01])
def test_the_number_is_where_thresholds_become_finite(alpha):
    n = rows_needed(alpha)
    scores = torch.linspace(0, 1, n + 1, dtype=torch.float64)[None]
    assert thresholds(scores[:, :n], alpha).isfinite().all()
    assert too_few_rows(alpha, n) is None
    if n > 1:
        assert thresholds(scores[:, : n - 1], alpha).isinf().all()
        assert too_few_rows(alpha, n - 1) is not None
