"""What chance alone gives an extreme over groups."""

import numpy as np
import pytest

from trustbench.methods.group_nulls import BUDGET, OfShares, by_chance, observed
from trustbench.methods.groups import gap, means_by


def gaps(values, n_groups=2):
    return lambda groups: {"gap": gap(means_by(values, groups, n_groups))}


def test_the_null_is_what_chance_alone_gives():
    """Gap of two means of 50 unit normals: E|N(0, 2/50)| = sqrt(4 / (50 pi)) = .16."""
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 50)
    values = rng.normal(size=100)

    def null(of):
        return by_chance(gaps(of[None]), group, rng, 2000)["gap"].null[0]

    expected = values.std(ddof=1) * np.sqrt(4 / (50 * np.pi))
    assert null(values) == pytest.approx(expected, rel=0.05)
    shifted = values + 10 * group
    assert observed(gaps(shifted[None]), group)["gap"] > 9
    assert null(shifted) < 1.5


def test_chance_is_shared_by_all_replicates():
    """Replicates with the same values: their mean moves as one of them does."""
    rng = np.random.default_rng(0)
    row, group = rng.normal(size=200), np.repeat([0, 1], 100)

    def chance(values):
        return by_chance(gaps(values), group, np.random.default_rng(1), 500)["gap"]

    one, many = chance(row[None]), chance(np.tile(row, (8, 1)))
    assert many.common_sd == pytest.approx(one.common_sd)
    # a half-normal gap of two means of 100
    sd = row.std() * np.sqrt(2 / 100)
    assert one.null[0] == pytest.approx(sd * np.sqrt(2 / np.pi), rel=0.1)
    assert one.common_sd == pytest.approx(sd * np.sqrt(1 - 2 / np.pi), rel=0.15)
    assert chance(rng.normal(size=(8, 200))).common_sd < one.common_sd / 2


def test_within_a_stratum_every_group_keeps_its_rows_of_each_value():
    rng = np.random.default_rng(0)
    group, label = rng.integers(3, size=90), rng.integers(2, size=90)
    table = np.bincount(group * 2 + label, minlength=6)
    seen = []

    def statistics(groups):
        seen.extend(groups)
        return {"none": np.zeros((len(groups), 1))}

    by_chance(statistics, group, rng, 30, within=label)
    assert len(seen) == 30
    assert all((np.bincount(g * 2 + label, minlength=6) == table).all() for g in seen)
    assert len({g.tobytes() for g in seen}) == 30


def test_the_groupings_do_not_depend_on_how_many_are_held_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    values, group = rng.normal(size=(2, 60)), rng.integers(3, size=60)

    def draws():
        return by_chance(gaps(values, 3), group, np.random.default_rng(1), 20)["gap"].draws

    whole = draws()
    assert BUDGET > 60 * 3
    monkeypatch.setattr("trustbench.methods.group_nulls.BUDGET", 60 * 3 * 7)
    np.testing.assert_allclose(draws(), whole, atol=1e-12)


@pytest.mark.parametrize("by_side", [False, True])
def test_shares_of_random_groups_spread_as_those_of_shuffled_rows(by_side):
    """Drawing numbers of rows is drawing rows: the same mean and spread of each statistic."""
    rng = np.random.default_rng(0)
    group, side = rng.integers(4, size=160), rng.integers(2, size=160)
    has = rng.random((2, 160)) < np.array([[0.3], [0.8]])

    def of(shares):
        return {"gap": gap(shares).max(axis=-1), "least": shares.min(axis=(-1, -2))}

    statistics = OfShares(has, 4, of, side if by_side else None)
    rows = by_chance(statistics, group, rng, 3000, within=side if by_side else None)
    numbers = statistics.by_chance(group, rng, 3000)
    assert list(numbers) == ["gap", "least"]
    for name, chance in numbers.items():
        # the error of a mean of 3,000 gaps with a standard deviation near .07 is .0013
        np.testing.assert_allclose(chance.null, rows[name].null, atol=0.007)
        assert chance.draws.shape == (3000,)


def test_shares_of_a_grouping_are_means_of_each_side():
    has = np.array([[1, 0, 1, 1]], dtype=bool)
    statistics = OfShares(has, 2, lambda shares: {"all": shares[..., 0]}, np.array([0, 0, 1, 1]))
    found = statistics(np.array([[0, 1, 0, 1]]))
    assert found["all"].tolist() == [[[1.0, 1.0]]]  # group 0 on each side; group 1 has 0 and 1
