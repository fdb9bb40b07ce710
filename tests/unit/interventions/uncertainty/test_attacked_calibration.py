"""Thresholds from attacked rows: coverage returns under the same attack."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.evaluators.robustness.set_attack import SetAttack
from trustbench.interventions.uncertainty.attacked_calibration import AttackedCalibration
from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.methods.conformal import covered, set_sizes

GROUP = np.zeros(0, dtype=np.int64)
METHOD = AttackedCalibration(epsilon=0.2, steps=10)


@pytest.fixture(scope="module")
def overlapping():
    """Four replicates of five classes that overlap: sets of several labels, margins near 0."""
    return make_system(make_problem(n=1500, classes=5, groups=5, seed=1, shift=0.8), steps=80)


def test_coverage_under_the_same_attack_is_near_one_less_alpha(overlapping):
    attack = SetAttack(epsilon=0.2, steps=10)

    def measured(method):
        found = attack.measure(method.deploy(overlapping)).measurements
        return {m.name: m.values.mean() for m in found}

    plain, repaired = measured(SplitConformalSets()), measured(METHOD)
    for score in ("aps", "lac"):
        assert plain[f"coverage_attacked_{score}"] < 0.85
        assert 0.86 < repaired[f"coverage_attacked_{score}"] < 0.97
        assert repaired[f"coverage_clean_{score}"] > plain[f"coverage_clean_{score}"]
        assert repaired[f"size_clean_{score}"] > plain[f"size_clean_{score}"]


def test_an_attack_of_no_size_is_split_conformal(overlapping):
    X, y, _ = overlapping.problem.rows("test")
    still = AttackedCalibration(epsilon=1e-9, steps=1).deploy(overlapping)
    plain = SplitConformalSets().deploy(overlapping)
    for score in ("aps", "lac"):
        a, b = (s.sets(torch.as_tensor(X), score, GROUP) for s in (still, plain))
        assert (a == b).double().mean() > 0.999
    hard = METHOD.deploy(overlapping).sets(torch.as_tensor(X), "lac", GROUP)
    assert set_sizes(hard).mean() > set_sizes(b).mean()
    assert covered(hard, y).mean() > covered(b, y).mean()


def test_what_it_states_and_refuses(system):
    deployed = AttackedCalibration(scores=("lac",), rows=40, steps=2).deploy(system)
    assert list(deployed.set_predictors) == ["lac"]
    assert deployed.facts["set_rows_lac"] == 40
    assert "same PGD" in deployed.facts["set_guarantee_lac"]
    features = tuple(dataclasses.replace(f, mutable=False) for f in system.problem.features)
    frozen = dataclasses.replace(system.problem, features=features)
    assert "no column of toy" in METHOD.supports(frozen, None)
    assert "more than" in AttackedCalibration(rows=10**6).supports(system.problem, None)
