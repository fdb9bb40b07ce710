"""Intervals on shadow-model attacks hold their level where t's own do not."""

import numpy as np
import pytest
from scipy import stats

from trustbench.attacks import membership as mia


def test_the_mean_stays_and_the_error_grows():
    values = np.random.default_rng(0).random(16)
    wide = mia.widened(values)
    assert wide.mean() == pytest.approx(values.mean())
    assert stats.sem(wide) == pytest.approx(np.sqrt(2) * stats.sem(values))


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


def world(seed, R=16, n=120):
    """Two arms that differ by chance alone: half of what a row leaks is the arm's own."""
    rng = np.random.default_rng(seed)
    member = np.zeros((R, n), dtype=bool)
    for r in range(0, R, 2):
        member[r, rng.permutation(n)[: n // 2]] = True
        member[r + 1] = ~member[r]
    shared = rng.normal(size=(R, n))
    leak = 1.2 * member * rng.random(n)
    return member, [leak + shared + rng.normal(size=(R, n)) for _ in range(2)]


def excludes_zero(d):
    low, high = stats.t.interval(0.95, len(d) - 1, d.mean(), stats.sem(d))
    return low > 0 or high < 0


def test_online_lira_holds_its_level():
    """A/A: the raw t interval excludes zero far too often."""
    raw, better = [], []
    for seed in range(300):
        member, arms = world(seed)
        found = []
        for phi in arms:
            report = mia.Report(member)
            report.auc("lira", mia.lira(phi, member, online=True))
            found += report.measurements
        raw.append(excludes_zero(found[0].values - found[1].values))
        better.append(excludes_zero(found[0].pseudo - found[1].pseudo))
    assert np.mean(raw) > 0.1, "the planted error: values taken for independent ones"
    assert 0.01 <= np.mean(better) <= 0.09


def test_offline_lira_shares_no_pairs():
    member, (phi, _) = world(0)
    report = mia.Report(member)
    report.auc("offline", mia.lira(phi, member, online=False))
    report.auc("online", mia.within(mia.lira(phi, member, online=True), np.arange(120) < 60))
    assert report.measurements[0].pseudo is None
    assert report.measurements[1].pseudo is not None
