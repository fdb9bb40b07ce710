import numpy as np
import pytest
from scipy import stats

from trustbench.attacks.membership import auc, lira
from trustbench.attacks.mutual import widened


def kernel_means(x):
    """Each replicate's mean of the kernel x_r x_s over the others, [..., R]."""
    return x * (x.sum(-1, keepdims=True) - x) / (x.shape[-1] - 1)


def kept(values):
    return values


def coverage(samples, transform, truth=0.0):
    """How often the t interval of the transformed values [runs, R] covers the truth."""
    v = np.apply_along_axis(transform, -1, samples)
    half = stats.t.ppf(0.975, v.shape[-1] - 1) * v.std(-1, ddof=1) / v.shape[-1] ** 0.5
    return (np.abs(v.mean(-1) - truth) <= half).mean()


def test_the_mean_stays_and_the_deviations_grow():
    x = np.random.default_rng(0).normal(size=16)
    assert widened(x).mean() == pytest.approx(x.mean())
    assert widened(x).std() == pytest.approx(2**0.5 * x.std())


def test_a_degenerate_u_statistic_is_covered():
    rng = np.random.default_rng(1)
    # vectors: the kernel is a sum of many products, as an AUC over many rows is
    samples = kernel_means(rng.normal(size=(4000, 20, 16))).sum(1)
    assert coverage(samples, widened) == pytest.approx(0.95, abs=0.015)
    assert coverage(samples, kept) < 0.88  # planted: terms taken as independent


def lira_difference(rng, R=16, n=120):
    """LiRA's AUCs [R] of two arms on the same halves whose confidences know nothing of them."""
    member = np.zeros((R, n), dtype=bool)
    for r in range(0, R, 2):
        member[r, rng.permutation(n)[: n // 2]] = True
        member[r + 1] = ~member[r]
    aucs = []
    for phi in rng.normal(size=(2, R, n)):
        s = lira(phi, member, online=True)
        rows = zip(s.values, member, s.usable, strict=True)
        aucs.append([auc(v[u], m[u]) for v, m, u in rows])
    return np.subtract(*aucs)


def test_lira_of_two_arms_that_leak_nothing():
    rng = np.random.default_rng(2)
    differences = np.array([lira_difference(rng) for _ in range(150)])
    assert 0.90 <= coverage(differences, widened) <= 0.99
    assert coverage(differences, kept) < 0.90  # planted: as published values, unwidened
