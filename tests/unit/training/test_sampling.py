"""Batches: every member once when shuffled, independent coins when Poisson."""

import dataclasses

import numpy as np
import pytest

from trustbench.config.arms import Protocol
from trustbench.contracts import Schedule
from trustbench.contracts.seeding import Streams
from trustbench.training.replicates import calibration_rows, membership, restrict
from trustbench.training.sampling import epoch_batches, sample_rate, steps_per_epoch

SHUFFLE = Schedule("tuned", epochs=2, batch_size=16, lr=0.1)
POISSON = dataclasses.replace(SHUFFLE, sampling="poisson")


@pytest.fixture
def halves(problem):
    return membership(problem, Protocol(replicates=6), Streams(0))


def test_a_shuffled_epoch_visits_every_member_once(halves):
    drawn = epoch_batches(SHUFFLE, halves, Streams(0), 0)
    for r, inside in enumerate(halves):
        seen = drawn.rows[:, r][drawn.real[:, r] > 0]
        np.testing.assert_array_equal(np.sort(seen), np.flatnonzero(inside))


def test_epochs_and_replicates_draw_different_orders_and_repeat_with_the_seed(halves):
    first, again, second = (epoch_batches(SHUFFLE, halves, Streams(0), e) for e in (0, 0, 1))
    np.testing.assert_array_equal(first.rows, again.rows)
    assert (first.rows != second.rows).any()
    assert (first.rows[:, 0] != first.rows[:, 2]).any()


def test_replicates_do_not_depend_on_how_many_there_are(problem):
    few = membership(problem, Protocol(replicates=2), Streams(0))
    many = membership(problem, Protocol(replicates=8), Streams(0))
    np.testing.assert_array_equal(few, many[:2])


def test_poisson_batches_are_binomial_and_members_only(halves):
    rate, sizes, visits = sample_rate(POISSON, int(halves.sum(1).min())), [], np.zeros(halves.shape)
    for epoch in range(150):
        drawn = epoch_batches(POISSON, halves, Streams(0), epoch)
        assert len(drawn.rows) == steps_per_epoch(POISSON, int(halves.sum(1).min()))
        sizes.append(drawn.real.sum(2))
        for r in range(len(halves)):
            for step in range(len(drawn.rows)):
                rows = drawn.rows[step, r][drawn.real[step, r] > 0]
                assert len(np.unique(rows)) == len(rows)
                visits[r, rows] += 1
    assert not visits[~halves].any()
    sizes = np.concatenate(sizes)
    mean, variance = rate * halves.sum(1), rate * (1 - rate) * halves.sum(1)
    spread = np.sqrt(variance / len(sizes))
    assert (np.abs(sizes.mean(0) - mean) < 4.5 * spread).all()
    np.testing.assert_allclose(sizes.var(0), variance, rtol=0.25)
    # A fixed batch size would have variance 0 and is what the accountant must never be told.
    assert (sizes.var(0) > 1).all()


@pytest.fixture
def unequal():
    """Replicates with 40, 120 and 160 members of 200 rows."""
    return np.stack([np.arange(200) % 5 < k for k in (1, 3, 4)])


def test_unequal_replicates_are_sampled_at_the_rate_of_the_smallest(unequal):
    """The accountant is told the smallest membership, whose members are drawn most often."""
    counts = unequal.sum(1)
    assert counts.tolist() == [40, 120, 160]
    drawn = [epoch_batches(POISSON, unequal, Streams(0), e) for e in range(300)]
    assert {len(d.rows) for d in drawn} == {steps_per_epoch(POISSON, 40)} == {2}
    sizes = np.concatenate([d.real.sum(2) for d in drawn])
    rate = 16 / 40
    assert rate == sample_rate(POISSON, 40)
    spread = np.sqrt(rate * (1 - rate) * counts / len(sizes))
    assert (np.abs(sizes.mean(0) - rate * counts) < 4.5 * spread).all()


def test_a_shuffled_epoch_reaches_the_last_row_of_the_largest_replicate(unequal):
    drawn = epoch_batches(SHUFFLE, unequal, Streams(0), 0)
    assert len(drawn.rows) == 10
    for r, inside in enumerate(unequal):
        seen = drawn.rows[:, r][drawn.real[:, r] > 0]
        np.testing.assert_array_equal(np.sort(seen), np.flatnonzero(inside))
    assert drawn.real[:3].sum((0, 2)).tolist() == [40, 48, 48], "the smallest waits at the end"
    assert not drawn.real[3:, 0].any()


@pytest.mark.parametrize(("members", "steps"), [(16, 1), (10, 1), (24, 2), (39, 2), (41, 3)])
def test_poisson_steps_expect_each_member_once(members, steps):
    assert steps_per_epoch(POISSON, members) == steps
    assert sample_rate(POISSON, members) == min(1, 16 / members)


def test_halves_are_complementary_and_keep_every_class_and_group(problem, halves):
    _, y, group = problem.rows("train")
    np.testing.assert_array_equal(halves[0::2], ~halves[1::2])
    for r in range(len(halves)):
        for cell in {(a, b) for a, b in zip(y, group, strict=True)}:
            rows = (y == cell[0]) & (group == cell[1])
            assert abs(halves[r, rows].sum() - rows.sum() / 2) <= 0.5


def test_inclusion_all_trains_on_the_whole_pool(problem):
    assert membership(problem, Protocol(inclusion="all"), Streams(0)).all()


def test_calibration_sets_differ_by_replicate_and_stay_in_their_pool(problem):
    rows = calibration_rows(problem, Protocol(replicates=4), Streams(0))
    assert rows.shape == (4, len(problem.splits["calibration"]) // 2)
    assert set(rows.ravel()) <= set(problem.splits["calibration"])
    assert set(rows[0]) != set(rows[1])


def test_the_memorising_pool_is_cut_and_the_other_splits_stay(problem):
    cut = restrict(problem, 50, Streams(0))
    assert len(cut.splits["train"]) == 100
    assert set(cut.splits["train"]) <= set(problem.splits["train"])
    np.testing.assert_array_equal(cut.splits["test"], problem.splits["test"])
    assert restrict(problem, 5000, Streams(0)) is problem
