"""Group means, gaps and their permutation null."""

import numpy as np
import pytest

from trustbench.groups import by_chance, gap, means


def test_means_are_plain_means_and_nan_for_nobody():
    rng = np.random.default_rng(0)
    values, group = rng.random((3, 4, 50)), rng.integers(3, size=50)
    found = means(values, group, 4)
    assert found.shape == (3, 4, 4)
    np.testing.assert_allclose(found[1, 2, 2], values[1, 2, group == 2].mean())
    assert np.isnan(found[..., 3]).all()


def test_the_null_is_what_chance_alone_gives():
    """Gap of two means of 50 unit normals: E|N(0, 2/50)| = sqrt(4 / (50 pi)) = .16."""
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 50)
    values = rng.normal(size=100)

    def null(of):
        return by_chance(lambda o: gap(means(of[None, o], group, 2)), 100, rng, 2000).null[0]

    expected = values.std(ddof=1) * np.sqrt(4 / (50 * np.pi))
    assert null(values) == pytest.approx(expected, rel=0.05)
    shifted = values + 10 * group
    assert gap(means(shifted, group, 2)) > 9
    assert null(shifted) < 1.5


def test_chance_is_shared_by_all_replicates():
    """Replicates with the same values: their mean moves as one of them does."""
    rng = np.random.default_rng(0)
    row, group = rng.normal(size=200), np.repeat([0, 1], 100)

    def spread(values):
        return gap(means(values, group, 2))

    one = by_chance(lambda o: spread(row[None, o]), 200, np.random.default_rng(1), 500)
    same = np.tile(row, (8, 1))
    many = by_chance(lambda o: spread(same[:, o]), 200, np.random.default_rng(1), 500)
    assert many.common_sd == pytest.approx(one.common_sd)
    # a half-normal gap of two means of 100
    sd = row.std() * np.sqrt(2 / 100)
    assert one.null[0] == pytest.approx(sd * np.sqrt(2 / np.pi), rel=0.1)
    assert one.common_sd == pytest.approx(sd * np.sqrt(1 - 2 / np.pi), rel=0.15)
    apart = rng.normal(size=(8, 200))
    independent = by_chance(lambda o: spread(apart[:, o]), 200, np.random.default_rng(1), 500)
    assert independent.common_sd < one.common_sd / 2
