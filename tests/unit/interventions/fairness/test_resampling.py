"""Exact counts of every cell, and what the loop is given."""

import numpy as np
import pytest

from tests.conftest import make_problem
from trustbench.contracts import Schedule
from trustbench.contracts.seeding import Streams
from trustbench.interventions.fairness.resampling import Resampling
from trustbench.training.sampling import epoch_batches


def drawn(problem, plugin, members, seed=0):
    return plugin.resample(problem, members, np.random.default_rng(seed))


def counts(problem, rows, by):
    _, y, group = problem.rows("train")
    cell = {"group": group, "label": y, "group_label": group * len(problem.classes) + y}[by]
    return np.bincount(cell[rows])


@pytest.fixture(scope="module")
def members(problem):
    return np.random.default_rng(3).permutation(len(problem.splits["train"]))[:120]


@pytest.mark.parametrize("by", ["group_label", "group", "label"])
def test_oversampling_keeps_every_row_and_lifts_cells_to_the_largest(problem, members, by):
    rows = drawn(problem, Resampling("oversample", by), members)
    before, after = counts(problem, members, by), counts(problem, rows, by)
    assert before.min() < before.max()
    assert after.tolist() == [before.max()] * len(before)
    assert set(rows) == set(members)
    largest = before.argmax()
    times = np.bincount(rows)
    _, y, group = problem.rows("train")
    cell = {"group": group, "label": y, "group_label": group * 2 + y}[by]
    assert (times[members[cell[members] == largest]] == 1).all()


@pytest.mark.parametrize("by", ["group_label", "group", "label"])
def test_undersampling_drops_rows_down_to_the_smallest_cell(problem, members, by):
    rows = drawn(problem, Resampling("undersample", by), members)
    before, after = counts(problem, members, by), counts(problem, rows, by)
    assert after.tolist() == [before.min()] * len(before)
    assert len(set(rows)) == len(rows)
    assert set(rows) < set(members)


def test_cells_that_differ_in_name_only_are_not_mixed_up():
    """Planted error: a cell number of group + label would pool (0, 1) with (1, 0)."""
    problem = make_problem(classes=3, groups=3)
    members = np.arange(len(problem.splits["train"]))
    rows = drawn(problem, Resampling(), members)
    _, y, group = problem.rows("train")
    assert len(set(np.bincount(group[rows] * 3 + y[rows]))) == 1
    wrong = np.bincount((group + y)[rows])
    assert len(set(wrong)) > 1


def test_each_epoch_draws_anew_and_equal_streams_agree(problem, members):
    for mode in ("oversample", "undersample"):
        first, again, other = (drawn(problem, Resampling(mode), members, s) for s in (0, 0, 1))
        assert np.array_equal(first, again)
        assert not np.array_equal(np.sort(first), np.sort(other))


def test_the_loop_visits_balanced_epochs_of_members_only(problem):
    membership = np.random.default_rng(0).random((3, len(problem.splits["train"]))) < 0.5
    plugin = Resampling()
    schedule = Schedule("tuned", epochs=1, batch_size=16, lr=0.1)

    def visit(members, rng):
        return plugin.resample(problem, members, rng)

    epoch = epoch_batches(schedule, membership, Streams(0), 0, visit)
    for r in range(3):
        rows = epoch.rows[:, r][epoch.real[:, r] > 0]
        assert len(set(counts(problem, rows, "group_label"))) == 1
        assert membership[r][rows].all()
        assert set(rows) == set(np.flatnonzero(membership[r]))
    assert plugin.retrains
