"""Sets calibrated and tested under the same attack cover; calibrated on clean rows they do not."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from tests.unit.evaluators.robustness.test_robustness import named
from trustbench.evaluators.uncertainty.attacked_uncertainty import AttackedUncertainty
from trustbench.evaluators.uncertainty.uncertainty import Uncertainty
from trustbench.methods.conformal import SCORES, calibrate, covered, set_sizes
from trustbench.methods.conformal import predictor as set_predictor

QUICK = AttackedUncertainty(epsilon=0.2, steps=10)


@pytest.fixture(scope="module")
def overlapping():
    return make_system(make_problem(n=1500, classes=5, groups=5, seed=1, shift=0.8), steps=80)


def test_the_attack_breaks_clean_thresholds_and_attacked_ones_cost_size(overlapping):
    measured = QUICK.measure(overlapping)
    v = {k: x.mean() for k, x in named(measured).items()}
    clean = {k: x.mean() for k, x in named(Uncertainty().measure(overlapping)).items()}
    for score in ("aps", "lac"):
        assert v[f"{score}_coverage_clean_calibrated"] < 0.85
        assert abs(v[f"{score}_coverage_attacked"] - 0.9) < 0.04
        assert v[f"{score}_size_attacked"] > clean[f"{score}_size"] + 0.3
    assert v["ece_attacked"] > clean["ece"]
    assert measured.measurements[0].name == "aps_size_attacked"
    assert measured.facts["n_calibration"] == overlapping.calibration.shape[1]


def test_without_an_attack_it_is_split_conformal(overlapping):
    """An attack of radius 1e-9, against the sets of `methods.conformal` on the same rows."""
    v = named(dataclasses.replace(QUICK, epsilon=1e-9, points=10**4).measure(overlapping))
    X, y, _ = overlapping.problem.rows("test")
    order = overlapping.streams.numpy("attacks", "points").permutation(len(y))
    for score in ("aps", "lac"):
        level = calibrate(overlapping, score, 0.1).threshold
        predict = set_predictor(overlapping, SCORES[score], level[:, None, None])
        sets = predict(torch.as_tensor(X[order]), np.zeros(len(y), dtype=np.int64))
        for kind in ("attacked", "clean_calibrated"):
            np.testing.assert_allclose(
                v[f"{score}_coverage_{kind}"], covered(sets, y[order]).mean(1), atol=0.005
            )
        np.testing.assert_allclose(v[f"{score}_size_attacked"], set_sizes(sets).mean(1), atol=0.02)
    # planted error: a threshold one calibration row too low is another number
    low = calibrate(overlapping, "lac", 0.11).threshold
    predict = set_predictor(overlapping, SCORES["lac"], low[:, None, None])
    sets = predict(torch.as_tensor(X[order]), np.zeros(len(y), dtype=np.int64))
    assert not np.allclose(v["lac_size_attacked"], set_sizes(sets).mean(1), atol=0.02)


def test_a_larger_radius_costs_more(overlapping):
    small = named(dataclasses.replace(QUICK, epsilon=0.05).measure(overlapping))
    large = named(QUICK.measure(overlapping))
    assert (large["lac_size_attacked"] > small["lac_size_attacked"]).all()
    assert (large["accuracy_attacked"] < small["accuracy_attacked"]).all()
    few = dataclasses.replace(QUICK, calibration_points=50).measure(overlapping)
    assert few.facts["n_calibration"] == 50
