"""Thresholds by label against MAPIE on each class alone."""

import dataclasses

import numpy as np
import pytest
import torch
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import LACConformityScore

from tests.conftest import make_problem, make_system
from tests.unit.methods.test_conformal import Wrapped
from trustbench.interventions.uncertainty import class_conditional
from trustbench.interventions.uncertainty.class_conditional import ClassConditionalSets
from trustbench.methods.conformal import by_category

# MAPIE is given one class at a time on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:WARNING. your conformalization:UserWarning")

GROUP = np.zeros(0, dtype=np.int64)  # groups are not read


@pytest.fixture(scope="module")
def hard():
    return make_system(make_problem(n=3000, classes=5, groups=3, seed=2, shift=0.6), 2)


def mapie_by_class(system, r, alpha):
    """MAPIE calibrated on the rows of one class decides on that label."""
    problem, rows = system.problem, system.calibration[r]
    X = problem.rows("test")[0]
    out = np.zeros((len(X), len(problem.classes)), dtype=bool)
    for c in range(len(problem.classes)):
        own = rows[problem.y[rows] == c]
        classifier = SplitConformalClassifier(
            Wrapped(system, r),
            confidence_level=1 - alpha,
            conformity_score=LACConformityScore(),
            prefit=True,
        )
        classifier.conformalize(problem.X[own], problem.y[own])
        out[:, c] = classifier.predict_set(X)[1][:, c, 0]
    return out


def sets_of(system, **kwargs):
    X = torch.as_tensor(system.problem.rows("test")[0])
    return ClassConditionalSets(**kwargs).deploy(system).sets(X, "lac", GROUP).numpy()


@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_sets_equal_mapie_on_each_class(hard, alpha):
    ours = sets_of(hard, alpha=alpha)
    for r in range(2):
        assert (ours[r] == mapie_by_class(hard, r, alpha)).all()


def test_thresholds_by_group_would_be_seen(hard, monkeypatch):
    def wrong(scores, category, categories, alpha):
        return by_category(scores, category.roll(1, dims=1), categories, alpha)

    monkeypatch.setattr(class_conditional, "by_category", wrong)
    assert (sets_of(hard)[0] != mapie_by_class(hard, 0, 0.1)).any()


def test_a_rare_class_is_in_every_set_and_named(hard):
    rows = hard.calibration[:, hard.problem.y[hard.calibration[0]] != 3][:, :100]
    rows[1] = rows[0]
    few = dataclasses.replace(hard, calibration=rows)
    assert sets_of(few)[:, :, 3].all()
    facts = ClassConditionalSets(scores=("lac",)).deploy(few).facts
    assert facts["set_without_threshold_lac"] == "3"
    assert facts["set_guarantee_lac"] == "coverage of every class"
