"""Group means and gaps."""

import numpy as np

from trustbench.methods.groups import gap, means, means_by


def test_means_are_plain_means_and_nan_for_nobody():
    rng = np.random.default_rng(0)
    values, group = rng.random((3, 4, 50)), rng.integers(3, size=50)
    found = means(values, group, 4)
    assert found.shape == (3, 4, 4)
    np.testing.assert_allclose(found[1, 2, 2], values[1, 2, group == 2].mean())
    assert np.isnan(found[..., 3]).all()


def test_many_groupings_at_once_are_each_grouping_alone():
    rng = np.random.default_rng(0)
    values, groups = rng.random((4, 50)), rng.integers(3, size=(5, 50))
    found = means_by(values, groups, 4)
    np.testing.assert_allclose(found, [means(values, group, 4) for group in groups], atol=1e-12)


def test_a_gap_is_the_distance_of_the_best_from_the_worst_group_of_each_replicate():
    by_group = np.array([[0.5, 0.75, 0.25], [1.0, 1.0, 1.0], [0.0, 0.125, 0.0]])
    assert gap(by_group).tolist() == [0.5, 0.0, 0.125]
