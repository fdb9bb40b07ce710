"""Intervals on shadow-model attacks hold their level where t's own do not."""

import numpy as np
import pytest
from scipy import stats

from trustbench.evaluators.privacy.privacy import Privacy
from trustbench.methods.attacks import membership as mia
from trustbench.store.records import MeasurementRecord
from trustbench.summary.stats.series import Series


def test_the_mean_stays_and_the_error_grows():
    values = np.random.default_rng(0).random(16)
    wide = mia.widened(values)
    assert wide.mean() == pytest.approx(values.mean())
    assert stats.sem(wide) == pytest.approx(np.sqrt(2) * stats.sem(values))
    assert stats.sem(mia.widened(values, 1.25)) == pytest.approx(1.25 * stats.sem(values))


def test_it_is_the_error_of_a_degenerate_u_statistic():
    """Targets that share pairs and nothing else: the simulated error of their mean."""
    rng = np.random.default_rng(1)
    means, assumed = [], []
    for _ in range(3000):
        pair = np.triu(rng.normal(size=(16, 16)), 1)
        values = (pair + pair.T).sum(1) / 15  # each target against all others
        means.append(values.mean())
        assumed.append(np.var(mia.widened(values), ddof=1) / 16)
    assert np.mean(assumed) == pytest.approx(np.var(means), rel=0.1)
    assert np.mean(assumed) / 2 != pytest.approx(np.var(means), rel=0.3), "the planted error"


def halves(rng, R, n):
    """Membership [R, n] of complementary halves."""
    member = np.zeros((R, n), dtype=bool)
    for r in range(0, R, 2):
        member[r, rng.permutation(n)[: n // 2]] = True
        member[r + 1] = ~member[r]
    return member


def world(seed, leak=1.2, R=16, n=120):
    """Two arms that differ by chance alone: half of what a row leaks is the arm's own."""
    rng = np.random.default_rng(seed)
    member = halves(rng, R, n)
    shared = rng.normal(size=(R, n))
    leaked = leak * member * rng.random(n)
    return member, [leaked + shared + rng.normal(size=(R, n)) for _ in range(2)]


def measured(phi, member, targets=16, tpr=True):
    report = mia.Report(member[:targets], Privacy().measurement, shadows=member[targets:])
    scores = mia.lira(phi, member, online=True, targets=targets)
    report.auc("lira_auc", scores)
    if tpr:
        report.tpr("lira_tpr_1", scores, 0.1)
    return {m.name: record(m) for m in report.measured().measurements}


def record(m):
    found = {"values": m.values, "pseudo": m.pseudo, "shadowing": m.shadowing}
    numbers = {k: None if v is None else list(v) for k, v in found.items()}
    return MeasurementRecord(**numbers, higher_is_better=False, unit="AUC", n=m.n)


def excludes_zero(d):
    low, high = stats.t.interval(0.95, len(d) - 1, d.mean(), stats.sem(d))
    return low > 0 or high < 0


@pytest.mark.parametrize("leak", [0.0, 1.2, 4.0])
def test_online_lira_holds_its_level(leak):
    """A/A: whether nothing, a little or nearly everything of the membership leaks."""
    raw, better = [], {"lira_auc": [], "lira_tpr_1": []}
    for seed in range(120):
        member, arms = world(seed, leak)
        both = [measured(phi, member) for phi in arms]
        for metric, found in better.items():
            a, b = (Series.of([each[metric]]) for each in both)
            found.append(excludes_zero((a - b).independent))
            if metric == "lira_auc":
                raw.append(excludes_zero((a - b).values))
    for metric, found in better.items():
        assert np.mean(found) <= 0.09, metric
    if leak < 4:
        assert np.mean(raw) > 0.1, "the planted error: values taken for independent ones"


@pytest.mark.parametrize("leak", [0.0, 1.2])
def test_it_holds_its_level_with_shadows_beyond_the_replicates(leak):
    found = []
    for seed in range(80):
        member, arms = world(seed, leak, R=32)
        a, b = (Series.of([measured(phi, member, tpr=False)["lira_auc"]]) for phi in arms)
        assert len(a) == 16
        found.append(excludes_zero((a - b).independent))
    assert np.mean(found) <= 0.09


def test_a_target_has_the_same_scores_whether_or_not_its_shadows_are_targets():
    member, (phi, _) = world(7, R=12)
    p, z = 1 / (1 + np.exp(-phi)), 1 / (1 + np.exp(-phi[:, :50]))
    some, every = (mia.Observed(phi, p, z, member, n) for n in (8, 12))
    for name, scores in some.attacks(np.ones(12, dtype=bool), 8).items():
        whole = every.attacks(np.ones(12, dtype=bool), 12)[name]
        np.testing.assert_array_equal(scores.values, whole.values[:8])
        if scores.without is not None:
            np.testing.assert_array_equal(scores.without(2).values, whole.without(2).values[:8])
    assert some.strongest.choices[0].weights == every.strongest.choices[0].weights
    np.testing.assert_array_equal(some.strongest.scores.values, every.strongest.scores.values[:8])


def test_what_a_shadow_adds_is_what_the_others_lose_without_it():
    """Against an attack that is repeated on the membership without that replicate."""
    rng = np.random.default_rng(3)
    member = halves(rng, 10, 80)
    phi = rng.normal(size=member.shape) + member
    scores = mia.lira(phi, member, online=True)
    for j in (0, 7):
        left = scores.without(j)
        rest = np.delete(np.arange(10), j)
        again = mia.lira(phi[rest], member[rest], online=True)
        partner = j + 1 if j % 2 == 0 else j - 1
        for k, i in enumerate(rest):
            expected = scores.values[i] if i == partner else again.values[k]
            assert left.values[i] == pytest.approx(expected, abs=1e-9)
    assert (scores.without(0).values != scores.values).any(), "the planted error"


def test_additive_shadows_are_found():
    """A metric that is a sum over shadows by construction: each one's part is recovered."""
    rng = np.random.default_rng(4)
    member, part = halves(rng, 8, 20), rng.normal(size=8)
    kept = np.array([mia.shadows_of(member, r) for r in range(8)])

    def scores(without=None):
        left = kept.copy()
        if without is not None:
            left[:, without] = False
        means = (left * part).sum(1) / left.sum(1)
        return mia.Scores(means[:, None], np.ones((8, 1), bool), 6, "equal", without=scores)

    found = mia.shadowing({"mean": (scores(), lambda s: s.values[:, 0])}, member)["mean"]
    expected = part - np.array([part[kept[i]].mean() for i in range(8)])[:, None]
    assert found == pytest.approx((np.where(kept, expected, 0.0) / 6).sum(0))


def test_offline_lira_shares_no_pairs():
    member, (phi, _) = world(0)
    report = mia.Report(member, Privacy().measurement)
    report.auc("lira_offline_auc", mia.lira(phi, member, online=False))
    report.auc("lira_auc", mia.within(mia.lira(phi, member, online=True), np.arange(120) < 60))
    offline, online = report.measured().measurements
    assert offline.pseudo is None
    assert offline.shadowing is None
    assert online.pseudo is None
    assert online.shadowing.shape == (16,)


def test_where_no_shadow_can_be_left_out_the_values_are_widened():
    member, (phi, _) = world(0, R=4)
    report = mia.Report(member, Privacy().measurement)
    report.auc("lira_auc", mia.lira(phi, member, online=True))
    (found,) = report.measured().measurements
    assert found.shadowing is None
    assert found.pseudo == pytest.approx(mia.widened(found.values))
