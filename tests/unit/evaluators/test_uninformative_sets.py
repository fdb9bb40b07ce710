"""Sets that hold every label: whoever reads them says which level needs how many rows."""

import pytest
import torch

from trustbench.conformal import rows_needed, thresholds, too_few_rows
from trustbench.evaluators.attacked_uncertainty import AttackedUncertainty
from trustbench.evaluators.attacker_views import AttackerViews
from trustbench.evaluators.explaining_uncertainty import ExplainingUncertainty
from trustbench.evaluators.released_sets import ReleasedSets
from trustbench.evaluators.set_attack import SetAttack
from trustbench.evaluators.set_size_gap import SetSizeGap
from trustbench.evaluators.small_calibration import SmallCalibration
from trustbench.evaluators.uncertainty import Uncertainty
from trustbench.interventions.class_conditional import ClassConditionalSets
from trustbench.interventions.conformal import SplitConformalSets
from trustbench.interventions.mondrian import MondrianSets
from trustbench.interventions.private_conformal import PrivateSets

READERS = {
    "set_size_gap/gap_aps": SetSizeGap(min_group=5),
    "set_attack/coverage_attacked_aps": SetAttack(steps=1, points=10),
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


@pytest.mark.parametrize("method", [MondrianSets, ClassConditionalSets, PrivateSets])
def test_every_method_of_sets_meets_the_same_reason(multiclass_system, method):
    released = method(alpha=0.001).deploy(multiclass_system)
    measured = SetSizeGap(min_group=5).measure(released)
    assert not measured.measurements
    assert "999" in measured.missing["gap_aps"]


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
