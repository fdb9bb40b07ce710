"""Calibration errors against torchmetrics, scikit-learn and plain loops."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from trustbench.methods import calibration


@pytest.fixture(scope="module")
def predictions():
    """(probabilities [3, 700, 4], labels [700]) of over-confident forecasts."""
    rng = np.random.default_rng(0)
    y = rng.integers(4, size=700)
    logits = 3 * rng.normal(size=(3, 700, 4)) + 2 * np.eye(4)[y]
    p = np.exp(logits)
    return p / p.sum(-1, keepdims=True), y


def test_equal_width_ece_is_that_of_torchmetrics(predictions):
    p, y = predictions
    confidence, hit = calibration.top_label(p, y)
    ours = calibration.ece(confidence, hit, 15, "width")
    theirs = [
        multiclass_calibration_error(torch.as_tensor(q), torch.as_tensor(y), 4, n_bins=15).item()
        for q in p
    ]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    off = calibration.ece(confidence, hit, 14, "width")
    assert np.abs(off - theirs).max() > 1e-4


@pytest.mark.parametrize("n", [700, 93, 7])
def test_equal_mass_ece_is_a_plain_loop(predictions, n):
    p, y = predictions
    confidence, hit = calibration.top_label(p[:, :n], y[:n])
    for r, found in enumerate(calibration.ece(confidence, hit, 15)):
        order = np.argsort(confidence[r], kind="stable")
        edges = [k * n // 15 for k in range(16)]
        total = 0.0
        for low, high in pairwise(edges):
            rows = order[low:high]
            if len(rows):
                gap = confidence[r, rows].mean() - hit[r, rows].mean()
                total += len(rows) / n * abs(gap)
        assert found == pytest.approx(total, abs=1e-12)


def test_calibrated_forecasts_have_almost_no_error_and_shifted_ones_their_shift():
    rng = np.random.default_rng(1)
    confidence = rng.uniform(0.5, 0.8, size=(1, 100_000))
    hit = (rng.random(confidence.shape) < confidence).astype(float)
    assert calibration.ece(confidence, hit)[0] < 0.01
    assert calibration.ece(confidence + 0.2, hit)[0] == pytest.approx(0.2, abs=0.005)


def test_proper_scores_are_those_of_scikit_learn(predictions):
    p, y = predictions
    for r in range(3):
        assert calibration.nll(np.log(p), y)[r] == pytest.approx(log_loss(y, p[r]))
        theirs = brier_score_loss(y, p[r], labels=range(4), scale_by_half=False)
        assert calibration.brier(p, y)[r] == pytest.approx(theirs)


def test_aurc_is_a_plain_loop_and_prefers_a_good_order(predictions):
    p, y = predictions
    confidence, hit = calibration.top_label(p, y)
    order = np.argsort(-confidence[0], kind="stable")
    risks = [1 - hit[0, order[: k + 1]].mean() for k in range(len(y))]
    assert calibration.aurc(confidence, hit)[0] == pytest.approx(np.mean(risks))
    assert (calibration.aurc(hit, hit) < calibration.aurc(confidence, hit)).all()
    assert (calibration.aurc(confidence, hit) < calibration.aurc(-hit, hit)).all()


@pytest.mark.parametrize("bins", [1, 7, 15, 900])
def test_the_reliability_diagram_has_the_bins_of_ece(predictions, bins):
    p, y = predictions
    confidence, hit = calibration.top_label(p, y)
    mean_confidence, accuracy = calibration.reliability(confidence, hit, bins)
    n = len(y)
    size = np.diff(np.arange(bins + 1) * n // bins)
    assert np.isnan(accuracy).any() == (bins > n)
    weighted = np.nansum(size / n * np.abs(mean_confidence - accuracy), axis=1)
    np.testing.assert_allclose(weighted, calibration.ece(confidence, hit, bins))
    assert (np.nan_to_num(np.diff(mean_confidence, axis=1), nan=0.0) >= 0).all()


def test_one_order_serves_the_largest_first_as_well():
    rng = np.random.default_rng(0)
    confidence = np.round(rng.random((3, 200)), 1)  # many ties, which stay in row order
    hit = rng.integers(2, size=(3, 200)).astype(float)
    order = np.argsort(-confidence, axis=1, kind="stable")
    risks = (1 - np.take_along_axis(hit, order, axis=1)).cumsum(axis=1) / np.arange(1, 201)
    assert calibration.aurc(confidence, hit).tolist() == risks.mean(axis=1).tolist()
