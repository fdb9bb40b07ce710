"""The evaluator reports what calibration.py and conformal.py compute, replicate by replicate."""

import dataclasses

import numpy as np
import pytest
import torch

from trustbench.evaluators.uncertainty.uncertainty import Uncertainty
from trustbench.methods import conformal


def named(measured):
    return {m.name: m.values for m in measured.measurements}


def scaled(system, factor):
    return dataclasses.replace(system, forward=lambda X: factor * system.forward(X))


def test_the_primary_comes_first_and_every_probe_is_there(multiclass_system):
    found = named(Uncertainty().measure(multiclass_system))
    probes = ("size", "coverage", "singleton_rate", "empty_rate")
    assert list(found)[:4] == ["ece", "nll", "brier", "aurc"]
    assert set(list(found)[4:]) == {f"{s}_{p}" for s in ("aps", "lac") for p in probes}


def test_probes_are_those_of_the_released_sets(multiclass_system):
    system = multiclass_system
    X, y, _ = system.problem.rows("test")
    found = named(Uncertainty(alpha=0.2).measure(system))
    for score in conformal.SCORES:
        sets = conformal.set_predictor(system, score, 0.2)(torch.as_tensor(X), y).numpy()
        size = sets.sum(-1)
        np.testing.assert_allclose(found[f"{score}_size"], size.mean(1))
        np.testing.assert_allclose(found[f"{score}_singleton_rate"], (size == 1).mean(1))
        np.testing.assert_allclose(found[f"{score}_empty_rate"], (size == 0).mean(1))
        np.testing.assert_allclose(
            found[f"{score}_coverage"], sets[:, np.arange(len(y)), y].mean(1)
        )


def test_overconfidence_raises_ece_but_moves_no_ranking(system):
    plain, loud = (named(Uncertainty().measure(s)) for s in (system, scaled(system, 8.0)))
    assert (loud["ece"] > plain["ece"]).all()
    assert (loud["nll"] > plain["nll"]).all()
    np.testing.assert_allclose(loud["lac_coverage"], plain["lac_coverage"], atol=0.06)


def test_saturated_models_still_give_finite_numbers(system):
    for m in Uncertainty().measure(scaled(system, 1e4)).measurements:
        assert np.isfinite(m.values).all()


def test_the_band_and_who_is_inside_are_facts(multiclass_system):
    facts = Uncertainty().measure(multiclass_system).facts
    n = len(multiclass_system.problem.splits["test"])
    band = conformal.coverage_band(multiclass_system.calibration.shape[1], n, 0.1)
    assert (facts["coverage_band_low"], facts["coverage_band_high"]) == pytest.approx(band)
    assert 0 <= facts["lac_replicates_in_band"] <= 4
    assert facts["n_calibration"] == multiclass_system.calibration.shape[1]


def test_the_stored_reliability_diagram_is_that_of_the_reported_error(multiclass_system):
    measured = Uncertainty(bins=4).measure(multiclass_system)
    confidence, accuracy = measured.arrays["bin_confidence"], measured.arrays["bin_accuracy"]
    n = len(multiclass_system.problem.splits["test"])
    size = np.diff(np.arange(5) * n // 4)
    assert confidence.shape == accuracy.shape == (multiclass_system.replicates, 4)
    error = (np.abs(confidence - accuracy) * size / n).sum(axis=1)
    np.testing.assert_allclose(error, named(measured)["ece"])
