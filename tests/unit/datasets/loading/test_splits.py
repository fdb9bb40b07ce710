"""Stratified order, splits, subsamples and the rare class."""

import numpy as np
import pytest

from trustbench.contracts import SPLITS
from trustbench.datasets.loading.splits import (
    cut_rare,
    draw,
    pack,
    shares,
    strata_of,
    stratified_order,
    subsample,
)
from trustbench.errors import DataError


def rng(seed=0):
    return np.random.default_rng(seed)


def test_strata_are_combinations_of_labels():
    strata = strata_of(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0]))
    assert strata[2] == strata[3]
    assert len(set(strata.tolist())) == 3


@pytest.mark.parametrize("seed", range(5))
def test_every_run_of_rows_has_the_strata_in_proportion(seed):
    strata = np.repeat([0, 1, 2], [600, 300, 100])
    order = stratified_order(strata, rng(seed))
    assert sorted(order.tolist()) == list(range(1000))
    for start, stop in [(0, 50), (50, 300), (300, 1000)]:
        counts = np.bincount(strata[order[start:stop]], minlength=3)
        assert np.abs(counts - (stop - start) * np.array([0.6, 0.3, 0.1])).max() <= 2


def test_rows_within_a_stratum_are_drawn_at_random():
    firsts = {int(stratified_order(np.zeros(50, dtype=int), rng(s))[0]) for s in range(40)}
    assert len(firsts) > 15


def test_splits_are_disjoint_and_cover_everything():
    strata = rng().integers(4, size=500)
    splits = draw("toy", strata, {"test": 100, "calibration": 50, "validation": 50}, rng())
    assert {s: len(splits[s]) for s in SPLITS} == {
        "train": 300,
        "validation": 50,
        "calibration": 50,
        "test": 100,
    }
    assert sorted(np.concatenate(list(splits.values())).tolist()) == list(range(500))


def test_too_few_rows_get_a_sentence():
    with pytest.raises(DataError, match="have 60 rows, but its splits need 70"):
        draw("toy", np.zeros(60, dtype=int), {"test": 50}, rng())


def test_a_subsample_has_the_size_asked_for_and_keeps_every_share():
    strata = np.repeat([0, 1], [900, 100])
    splits = draw("toy", strata, shares(1000, {"test": 0.3, "validation": 0.1}), rng())
    small = subsample("toy", splits, 457)
    assert sum(map(len, small.values())) == 457
    for split, rows in small.items():
        assert set(rows) <= set(splits[split])
        assert abs(len(rows) - 0.457 * len(splits[split])) <= 1
        assert abs((strata[rows] == 1).mean() - 0.1) < 0.03


def test_a_small_subsample_is_part_of_a_larger_one():
    splits = draw("toy", np.zeros(1000, dtype=int), shares(1000, {"test": 0.3}), rng())
    small, large = (subsample("toy", splits, n) for n in (200, 700))
    assert all(set(small[s]) <= set(large[s]) for s in small)


@pytest.mark.parametrize("total", [0, 66, 1001])
def test_an_impossible_subsample_names_what_is_possible(total):
    splits = draw("toy", np.zeros(1000, dtype=int), shares(1000, {"test": 0.3}), rng())
    with pytest.raises(DataError, match=f"subsample={total} .* from 67 to 1000"):
        subsample("toy", splits, total)


def test_only_the_rare_class_is_cut():
    y = np.repeat([0, 1, 2], 100)
    pool = stratified_order(y, rng())
    left = cut_rare("toy", pool, y, rare=1, keep=0.07)
    assert np.bincount(y[left]).tolist() == [100, 7, 100]
    assert left.tolist() == [r for r in pool if r in set(left)]
    assert cut_rare("toy", pool, y, rare=None, keep=0.07) is pool


def test_a_rare_class_of_fewer_than_two_rows_is_refused():
    y = np.repeat([0, 1], 100)
    with pytest.raises(DataError, match="leaves 1 of the 100 rows of class 1"):
        cut_rare("toy", np.arange(200), y, rare=1, keep=0.01)


def test_packing_drops_unused_rows_and_keeps_the_order():
    splits = {
        "train": np.array([9, 3]),
        "validation": np.array([1]),
        "calibration": np.array([7]),
        "test": np.array([5, 2]),
    }
    rows, packed = pack(splits)
    assert len(rows) == 6
    assert {s: rows[packed[s]].tolist() for s in SPLITS} == {s: splits[s].tolist() for s in SPLITS}
