"""Differences of replicates that are each other's shadows, and how wide their interval is."""

import numpy as np
import pytest

from trustbench.store.records import MeasurementRecord
from trustbench.summary.stats.series import LARGEST_VARIANCE, Series, as_dependent_as

R = 16


def measured(values, **kw):
    return MeasurementRecord(values=list(values), higher_is_better=False, unit="AUC", n=9, **kw)


def series(values, shadowing=None):
    moved = None if shadowing is None else list(shadowing)
    return Series.of([measured(values, shadowing=moved)])


def test_differences_and_multiples_of_series_keep_both_parts():
    a, b = series([1.0, 2.0], [0.5, -0.5]), series([0.0, 1.5], [0.1, 0.3])
    found = 2.0 * (a - b) + b
    assert found.values.tolist() == [2.0, 2.5]
    assert found.shadowing == pytest.approx([0.9, -1.3])


def test_seeds_are_pools_and_are_spread_apart():
    values, moved = np.arange(4.0), [-1.5, -0.5, 0.5, 1.5]
    alone = series(values, moved).independent
    both = Series.of([measured(values, shadowing=moved), measured(values + 100)])
    assert both.pools.tolist() == [0] * 4 + [1] * 4
    assert both.independent.tolist() == [*alone, *(values + 100)]


@pytest.mark.parametrize(
    ("moved", "factor"),
    [
        (np.zeros(4), 1.0),
        (np.array([-1.5, -0.5, 0.5, 1.5]), 3.0),  # 1 + 2 cov / var
        (np.array([1.5, 0.5, -0.5, -1.5]), 1.0),  # never shorter than t's own
        (10 * np.array([-1.5, -0.5, 0.5, 1.5]), LARGEST_VARIANCE),
    ],
)
def test_the_variance_of_the_mean_counts_what_replicates_do_to_each_other(moved, factor):
    values = np.arange(4.0)
    wide = series(values, moved).independent
    assert wide.mean() == pytest.approx(values.mean())
    assert wide.var() == pytest.approx(factor * values.var())


def test_pseudo_values_stand_in_for_values():
    found = Series.of([measured([0.5, 0.5], pseudo=[0.4, 0.6])], sign=-1.0)
    assert found.independent.tolist() == [-0.4, -0.6]


def test_values_that_do_not_vary_stay_as_they_are():
    assert series([0.5] * 3, [1.0, -1.0, 0.0]).independent.tolist() == [0.5] * 3


def test_the_error_is_right_where_targets_and_shadows_have_effects_of_their_own():
    """Value i = own effect + mean over shadows of theirs; the two are alike within a replicate."""
    rng, means, assumed, plain = np.random.default_rng(0), [], [], []
    for _ in range(2000):
        own = rng.normal(size=R)
        part = 0.4 * own + 0.3 * rng.normal(size=R)
        values = own + (part.sum() - part) / (R - 1)
        moved = part - part.mean()
        means.append(values.mean())
        wide = series(values, moved).independent
        assumed.append(wide.var(ddof=1) / R)
        plain.append(values.var(ddof=1) / R)
    # what is left out is the variance of the shadows' own part
    assert 0.8 * np.var(means) < np.mean(assumed) < 1.0 * np.var(means)
    assert np.mean(plain) < 0.6 * np.var(means), "the planted error"


def test_a_group_is_as_dependent_as_the_whole():
    values, moved = np.arange(4.0), np.array([-1.5, -0.5, 0.5, 1.5])
    whole = measured(values, shadowing=list(moved))  # a factor of sqrt(3)
    group = np.array([0.2, 0.6, 0.4, 0.8])
    wide = as_dependent_as(group, whole)
    assert wide.mean() == pytest.approx(group.mean())
    assert wide.std() == pytest.approx(np.sqrt(3) * group.std())
    assert as_dependent_as(group, measured(values)) == pytest.approx(group)
    assert as_dependent_as(group, measured(values, pseudo=list(2 * values - 1.5))).std() == (
        pytest.approx(2 * group.std())
    )
    assert as_dependent_as(group, measured([0.5] * 4)) == pytest.approx(group)
