"""LiRA against a slow independent loop, its null, and the metrics against scikit-learn."""

from contextlib import nullcontext

import numpy as np
import pytest
from scipy.special import expit, log_softmax
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from trustbench.methods.attacks import membership as mia
from trustbench.methods.attacks.membership import likelihood


def halves(R, n, rng):
    """Complementary random halves, as the replicates' are."""
    member = np.zeros((R, n), dtype=bool)
    for r in range(0, R, 2):
        member[r, rng.permutation(n)[: n // 2]] = True
        if r + 1 < R:
            member[r + 1] = ~member[r]
    return member


def confidences(member, rng, leak):
    """phi with a difficulty per row, and `leak` more where the row was trained on."""
    hard = 3 * rng.normal(size=member.shape[1])
    return hard + leak * member + rng.normal(size=member.shape)


def slow_lira(phi, member, target, online, per_row=False, error=1.0):
    """Carlini's attack row by row with scipy's normal density; `error` scales one spread."""
    shadows = [
        r for r in range(len(phi)) if r != target and not (member[r] == ~member[target]).all()
    ]
    sides = {True: [], False: []}
    for i in range(phi.shape[1]):
        for side, rows in sides.items():
            rows.append([phi[r, i] for r in shadows if member[r, i] == side])
    spread = {
        side: np.sqrt(
            sum(((np.array(v) - np.mean(v)) ** 2).sum() for v in rows if v)
            / sum(len(v) - 1 for v in rows if v)
        )
        for side, rows in sides.items()
    }
    out = []
    for i in range(phi.shape[1]):
        inside, outside = sides[True][i], sides[False][i]
        s_in, s_out = spread[True] * error, spread[False]
        if per_row:
            s_in, s_out = np.std(inside, ddof=1), np.std(outside, ddof=1)
        if online:
            score = norm.logpdf(phi[target, i], np.mean(inside), s_in)
            out.append(score - norm.logpdf(phi[target, i], np.mean(outside), s_out))
        else:
            out.append(norm.cdf(phi[target, i], np.mean(outside), s_out))
    return np.array(out)


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("R", [8, 66])
def test_lira_equals_the_slow_loop(R, online):
    rng = np.random.default_rng(0)
    member = halves(R, 60, rng)
    phi = confidences(member, rng, leak=1.0)
    scores = mia.lira(phi, member, online=online)
    assert scores.variance == ("per_example" if R == 66 else "pooled")
    assert scores.shadows == R - 2
    for target in (0, 3, R - 1):
        u = scores.usable[target]
        assert u.sum() > 50
        # a row without shadows on a side has no reference; compare the others
        with pytest.warns(RuntimeWarning) if not u.all() else nullcontext():
            slow = slow_lira(phi, member, target, online, per_row=R == 66)
        fast = scores.values[target]
        fast = fast if online else norm.cdf(fast)
        np.testing.assert_allclose(fast[u], slow[u], rtol=1e-9)


def test_the_loop_catches_a_planted_error_of_one_percent():
    rng = np.random.default_rng(0)
    member = halves(8, 60, rng)
    phi = confidences(member, rng, leak=1.0)
    scores = mia.lira(phi, member, online=True)
    u = scores.usable[0]
    wrong = slow_lira(phi[:, u], member[:, u], 0, online=True, error=1.01)
    assert np.abs(scores.values[0, u] - wrong).max() > 1e-3


@pytest.mark.parametrize("R", [4, 6, 16])
@pytest.mark.parametrize("online", [True, False])
def test_models_that_leak_nothing_score_one_half(R, online):
    rng = np.random.default_rng(1)
    values = []
    for _ in range(48 // R):
        member = halves(R, 800, rng)
        scores = mia.lira(confidences(member, rng, leak=0.0), member, online=online)
        values += [
            mia.auc(s[u], m[u])
            for s, u, m in zip(scores.values, scores.usable, member, strict=True)
        ]
    assert abs(np.mean(values) - 0.5) < 4 * np.std(values) / np.sqrt(len(values))


def test_a_complementary_partner_among_the_shadows_would_bias_the_null(monkeypatch):
    """Why `shadows_of` leaves it out: the same null, audited with it, is far below one half."""
    rng = np.random.default_rng(1)
    monkeypatch.setattr(likelihood, "shadows_of", lambda member, r: np.arange(len(member)) != r)
    values = []
    for _ in range(8):
        member = halves(6, 800, rng)
        scores = mia.lira(confidences(member, rng, leak=0.0), member, online=True)
        values += [
            mia.auc(s[u], m[u])
            for s, u, m in zip(scores.values, scores.usable, member, strict=True)
        ]
    assert np.mean(values) < 0.48


def mean_auc(values, member):
    return np.mean([mia.auc(s, m) for s, m in zip(values, member, strict=True)])


def test_an_even_leak_is_found_nearly_as_well_as_is_possible():
    rng = np.random.default_rng(2)
    member = halves(16, 600, rng)
    phi = confidences(member, rng, leak=1.0)
    best = norm.cdf(1 / np.sqrt(2))  # two unit Gaussians one apart, known exactly
    for online in (True, False):
        found = mean_auc(mia.lira(phi, member, online=online).values, member)
        assert best - 0.03 < found < best
    assert 0.52 < mean_auc(-mia.losses(phi), member) < best - 0.1


def test_the_online_attack_knows_which_rows_leak():
    rng = np.random.default_rng(2)
    member = halves(16, 600, rng)
    phi = confidences(member, rng, leak=np.where(rng.random(600) < 0.3, 3.0, 0.0))
    online, offline = (
        mean_auc(mia.lira(phi, member, online=each).values, member) for each in (True, False)
    )
    assert online > offline + 0.01


def test_rows_without_shadows_of_both_kinds_are_masked_and_finite():
    member = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 0], [0, 1, 1], [1, 1, 1]], dtype=bool)
    scores = mia.lira(np.arange(15.0).reshape(5, 3), member, online=True)
    # target 2's partner-free shadows 0, 1, 3, 4 all saw row 2
    assert not scores.usable[2, 2]
    assert scores.values[2, 2] == 0.0
    assert np.isfinite(scores.values).all()
    two = mia.lira(np.ones((2, 3)), np.array([[1, 0, 1], [0, 1, 0]], dtype=bool), online=True)
    assert not two.usable.any()
    assert two.shadows == 0


def test_logit_confidence_is_exact_and_never_saturates():
    rng = np.random.default_rng(3)
    logits, y = rng.normal(size=(2, 5, 4)), np.array([0, 1, 2, 3, 0])
    p = np.exp(log_softmax(logits, axis=2))[:, np.arange(5), y]
    np.testing.assert_allclose(mia.logit_confidence(logits, y), np.log(p / (1 - p)))
    phi = mia.logit_confidence(np.array([[[800.0, -800.0]]], dtype=np.float32), np.array([0]))
    assert phi.item() == 1600.0
    np.testing.assert_allclose(mia.losses(np.array([-3.0, 2.0])), -np.log(expit([-3.0, 2.0])))
    assert mia.losses(np.array([1600.0, -1600.0])).tolist() == [0.0, 1600.0]


@pytest.mark.parametrize("decimals", [6, 1, 0])  # 0: hardly anything but ties
def test_metrics_equal_scikit_learn(decimals):
    rng = np.random.default_rng(4)
    for n in (50, 333, 1000):
        member = rng.random(n) < 0.4
        scores = np.round(rng.normal(size=n) + member, decimals)
        assert mia.auc(scores, member) == pytest.approx(roc_auc_score(member, scores), abs=1e-12)
        fpr, tpr, _ = roc_curve(member, scores, drop_intermediate=False)
        for rate in (0.01, 0.05, 0.3, 1.0):
            expected = tpr[fpr <= rate + 1e-12].max()
            assert mia.tpr_at(scores, member, rate) == pytest.approx(expected, abs=1e-12)
        # planted error: the sign of the scores
        flipped = mia.auc(-scores, member)
        assert abs(flipped - roc_auc_score(member, scores)) > 0.1


def test_oracle_accuracy_equals_a_sweep_over_all_thresholds():
    rng = np.random.default_rng(5)
    a, b = np.round(rng.normal(size=40) + 1, 1), np.round(rng.normal(size=30), 1)
    sweep = max(((a >= t).mean() + (b < t).mean()) / 2 for t in np.concatenate([a, b]))
    assert mia.oracle_balanced_accuracy(a, b) == pytest.approx(sweep, abs=1e-12)
    assert mia.oracle_balanced_accuracy(np.zeros(3), np.ones(3)) == 0.5  # accept all


@pytest.mark.parametrize(("models", "kind"), [(64, "pooled"), (65, "per_example")])
def test_a_row_has_a_variance_of_its_own_from_64_shadows_on(models, kind):
    """Every other model is a shadow where halves are not complementary."""
    rng = np.random.default_rng(0)
    member = rng.random((models, 40)) < 0.5
    phi = rng.normal(size=(models, 40))
    for online in (False, True):
        scores = mia.lira(phi, member, online=online)
        assert (scores.shadows, scores.variance) == (models - 1, kind)


def test_a_pooled_variance_needs_a_row_with_two_shadows_on_each_side():
    member = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0], [0, 1, 1], [0, 0, 1]], dtype=bool)
    phi = np.arange(15.0).reshape(5, 3)
    assert mia.lira(phi, member, online=True).variance == "pooled"
    few = mia.lira(phi[:3], member[:3], online=True)
    assert (few.variance, few.shadows) == ("equal", 2)
