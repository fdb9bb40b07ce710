"""Pseudo-values: exact where they are known, and intervals that hold where t's own do not."""

import numpy as np
import pytest
from scipy import stats

from trustbench.attacks import membership as mia


def independent(values):
    """An attack whose targets do not depend on each other."""

    def attack(kept):
        report = mia.Report(np.zeros((len(kept), 10), dtype=bool))
        report.add("it", values[kept])
        return report

    return attack


def test_independent_values_are_their_own_pseudo_values():
    values = np.random.default_rng(0).random(8)
    (found,) = mia.jackknifed(independent(values), 8).measurements
    np.testing.assert_allclose(found.pseudo, values)


def test_their_standard_error_is_the_jackknife_s():
    """Of a U-statistic of order two, the mean of x_i x_j over pairs (Arvesen 1969)."""
    x = np.random.default_rng(1).normal(1.0, 1.0, size=12)

    def of(kept):
        x_ = x[kept]
        return (x_ * (x_.sum() - x_)) / (len(x_) - 1)  # each target against all others

    def attack(kept):
        report = mia.Report(np.zeros((len(kept), 10), dtype=bool))
        report.add("u", of(kept), lower=None, upper=None)
        return report

    (found,) = mia.jackknifed(attack, 12).measurements
    np.testing.assert_allclose(found.values, of(np.arange(12)))
    assert found.pseudo.mean() == pytest.approx(found.values.mean())
    whole = found.values.mean()
    out = np.array([of(np.delete(np.arange(12), r)).mean() for r in range(12)])
    error = np.sqrt(11 / 12 * ((out - out.mean()) ** 2).sum())  # the jackknife's own formula
    assert stats.sem(found.pseudo) == pytest.approx(error)
    assert stats.sem(found.values) != pytest.approx(error, rel=0.2), "a planted error"
    assert whole == pytest.approx(found.pseudo.mean())


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


def test_online_lira_holds_its_level_with_pseudo_values():
    """A/A: the raw t interval excludes zero far too often, the pseudo-values' does not."""
    raw, better = [], []
    for seed in range(120):
        member, arms = world(seed)

        def attack(kept, member=member, phi=None):
            report = mia.Report(member[kept])
            report.auc("lira", mia.lira(phi[kept], member[kept], online=True))
            return report

        found = [
            mia.jackknifed(lambda k, phi=phi, a=attack: a(k, phi=phi), 16).measurements[0]
            for phi in arms
        ]
        raw.append(excludes_zero(found[0].values - found[1].values))
        better.append(excludes_zero(found[0].pseudo - found[1].pseudo))
    assert np.mean(raw) > 0.09, "the planted error: values taken for independent ones"
    assert 0.0 <= np.mean(better) <= 0.09


def test_too_few_replicates_keep_their_values():
    values = np.random.default_rng(0).random(2)
    (found,) = mia.jackknifed(independent(values), 2).measurements
    assert found.pseudo is None
