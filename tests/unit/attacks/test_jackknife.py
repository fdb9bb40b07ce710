import numpy as np
import pytest
from scipy import stats

from trustbench.attacks.jackknife import pseudo_values


def kernel_means(x):
    """Replicate r's mean of the kernel x_r x_s over the others, [..., R]; their mean is a
    U-statistic of order two."""
    return x * (x.sum(-1, keepdims=True) - x) / (x.shape[-1] - 1)


def jackknifed(x):
    left_out = [kernel_means(np.delete(x, r, axis=-1)).mean(-1) for r in range(x.shape[-1])]
    pairs = zip(np.atleast_2d(kernel_means(x)), np.atleast_2d(np.stack(left_out, -1)), strict=True)
    return np.squeeze(np.stack([pseudo_values(w, o) for w, o in pairs]))


def coverage(values_of, mean, runs=3000, n=16):
    """How often the t interval of `values_of` covers the expectation mean^2 of the kernel."""
    v = values_of(np.random.default_rng(0).normal(mean, 1.0, (runs, n)))
    half = stats.t.ppf(0.975, n - 1) * v.std(-1, ddof=1) / n**0.5
    return (np.abs(v.mean(-1) - mean**2) <= half).mean()


def test_the_mean_stays():
    x = np.random.default_rng(1).normal(1, 1, 16)
    assert jackknifed(x).mean() == pytest.approx(kernel_means(x).mean(), abs=1e-12)


def test_a_u_statistic_has_twice_its_terms_deviations():
    # Arvesen 1969: for order two the pseudo-values are U + 2 (d_r - U), whatever the kernel
    x = np.random.default_rng(2).normal(1, 1, 12)
    d = kernel_means(x)
    expected = d.mean() + 2 * 11 / 10 * (d - d.mean())  # (n - 1) / (n - 2) is of finite n
    assert jackknifed(x) == pytest.approx(expected, rel=1e-9)


def test_differences_of_pseudo_values_are_those_of_the_difference():
    rng = np.random.default_rng(3)
    a, b, c, d = rng.normal(size=(4, 10))
    assert pseudo_values(a, c) - pseudo_values(b, d) == pytest.approx(pseudo_values(a - b, c - d))


@pytest.mark.parametrize("mean", [1.0, 3.0])
def test_the_interval_covers_where_the_plain_one_does_not(mean):
    assert coverage(jackknifed, mean) > 0.91
    assert coverage(kernel_means, mean) < 0.85  # the planted error: terms taken as independent


def test_a_degenerate_statistic_errs_on_the_safe_side():
    assert coverage(jackknifed, 0.0) > 0.95
