"""Gaps of released sets by hand, their null, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch

from trustbench.evaluators.fairness.set_size_gap import SetSizeGap


def named(measured):
    return {m.name: m.values for m in measured.measurements}


def releasing(system, sets, score="aps"):
    """The system with given sets [R, n, C] on the test set."""
    return dataclasses.replace(
        system, set_predictors={score: lambda X, group: torch.as_tensor(sets)}, replicates=len(sets)
    )


def sets_of_size(size, y, classes, covering=True):
    """Sets [n, C] of given sizes that hold the label (or every label but the label)."""
    order = (np.arange(classes) - y[:, None] - (0 if covering else 1)) % classes
    return order < np.asarray(size)[:, None]


@pytest.fixture
def five(multiclass_system):
    return multiclass_system, *multiclass_system.problem.rows("test")[1:]


def test_gaps_are_those_of_the_sets_made(five):
    system, y, group = five
    # Group g gets sets of g + 1 labels; the second replicate's group 4 is never covered.
    first = sets_of_size(group + 1, y, 5)
    second = np.where((group == 4)[:, None], sets_of_size(1 + 0 * y, y, 5, covering=False), first)
    found = named(SetSizeGap().measure(releasing(system, np.stack([first, second]))))
    assert list(found) == [
        "gap_aps",
        "gap_aps_permuted",
        "singleton_gap_aps",
        "singleton_gap_aps_permuted",
        "coverage_gap_aps",
        "coverage_gap_aps_permuted",
        "aid_gap_aps",
        "aid_gap_aps_permuted",
    ]
    assert found["gap_aps"].tolist() == [4.0, 3.0]
    assert found["singleton_gap_aps"].tolist() == [1.0, 1.0]
    assert found["coverage_gap_aps"].tolist() == [0.0, 1.0]
    assert (found["gap_aps_permuted"] < 1.5).all()


def test_sizes_that_ignore_groups_are_at_their_null(five):
    system, y, _ = five
    rng = np.random.default_rng(0)
    sets = np.stack([sets_of_size(rng.integers(1, 6, len(y)), y, 5) for _ in range(40)])
    found = named(SetSizeGap().measure(releasing(system, sets)))
    excess = found["gap_aps"] - found["gap_aps_permuted"]
    assert abs(excess.mean()) < 3 * excess.std() / np.sqrt(40)
    assert (found["gap_aps_permuted"] > 0.2).all()


def test_the_null_of_a_replicate_does_not_depend_on_the_others(five):
    system, y, group = five
    sets = np.stack([sets_of_size(group + 1, y, 5), sets_of_size(5 - group, y, 5)])
    both = named(SetSizeGap().measure(releasing(system, sets)))
    one = named(SetSizeGap().measure(releasing(system, sets[:1])))
    assert both["gap_aps_permuted"][0] == one["gap_aps_permuted"][0]


def test_every_released_score_is_measured_and_nulls_are_diagnostic(five):
    system, y, _ = five
    sets = np.stack([sets_of_size(1 + 0 * y, y, 5)])
    both = dataclasses.replace(
        releasing(system, sets),
        set_predictors={s: lambda X, group: torch.as_tensor(sets) for s in "ab"},
    )
    measurements = SetSizeGap().measure(both).measurements
    assert [m.name for m in measurements if m.diagnostic] == [
        f"{kind}_{score}_permuted"
        for score in "ab"
        for kind in ("gap", "singleton_gap", "coverage_gap", "aid_gap")
    ]
    assert len(measurements) == 16


def test_small_groups_are_left_out(five):
    system, y, group = five
    sizes = np.bincount(group)
    small = int(sizes.argmin())
    sets = np.stack([sets_of_size(np.where(group == small, 5, 1), y, 5)])
    measured = SetSizeGap(min_group=int(sizes.min()) + 1).measure(releasing(system, sets))
    assert measured.measurements[0].values.tolist() == [0.0]
    assert measured.measurements[0].n == len(y) - sizes.min()
    assert measured.facts["left_out"] == f"g{small}"


def test_it_needs_sets_and_two_groups(five):
    system, y, _ = five
    assert SetSizeGap().supports(system) == (
        "needs released prediction sets (intervention=conformal)"
    )
    released = releasing(system, np.zeros((1, len(y), 5), dtype=bool))
    assert SetSizeGap().supports(released) is None
    assert SetSizeGap(min_group=999).supports(released) == "needs 2 groups of 999 test rows"


def answered(sets, y, rng, times):
    """How often a simulated user is right, [n]: an even draw from the set, or from all labels."""
    right = np.zeros(len(y))
    for _ in range(times):
        usable = np.where(sets.any(1, keepdims=True), sets, True)
        noise = np.where(usable, rng.random(sets.shape), -1.0)
        right += noise.argmax(1) == y
    return right / times


def test_the_aid_gap_is_that_of_simulated_users(five):
    system, y, group = five
    rng = np.random.default_rng(0)
    sets = rng.random((len(y), 5)) < 0.2 + 0.15 * group[:, None]
    found = named(SetSizeGap(min_group=1).measure(releasing(system, sets[None])))
    answers = answered(sets, y, rng, 4000)
    gains = [answers[group == g].mean() - 1 / 5 for g in range(5)]
    assert found["aid_gap_aps"][0] == pytest.approx(max(gains) - min(gains), abs=0.004)
    empty_is_wrong = np.where(sets.any(1), answers, 0.0)
    other = [empty_is_wrong[group == g].mean() for g in range(5)]
    assert found["aid_gap_aps"][0] != pytest.approx(max(other) - min(other), abs=0.004)


def test_sets_that_help_all_alike_have_no_aid_gap_but_of_chance(five):
    system, y, group = five
    none = np.zeros((1, len(y), 5), dtype=bool)
    full = SetSizeGap().measure(releasing(system, ~none))
    assert set(full.missing.values()) == {"every set of aps holds every label"}
    assert not full.measurements
    found = named(SetSizeGap().measure(releasing(system, none)))
    assert found["aid_gap_aps"].tolist() == pytest.approx([0.0])
    helped = sets_of_size(np.where(group == 0, 1, 5), y, 5)[None]
    found = named(SetSizeGap().measure(releasing(system, helped)))
    assert found["aid_gap_aps"].tolist() == pytest.approx([0.8])
    assert 0 < found["aid_gap_aps_permuted"][0] < 0.4


def test_rows_by_size_count_each_kept_group(five):
    system, y, group = five
    sizes = np.bincount(group)
    small = int(sizes.argmin())
    sets = np.stack([sets_of_size(group, y, 5), sets_of_size(1 + 0 * y, y, 5)])
    measured = SetSizeGap(min_group=int(sizes.min()) + 1).measure(releasing(system, sets))
    kept = [g for g in range(5) if g != small]
    rows = measured.arrays["rows_by_size_aps"]
    assert measured.arrays["groups"].tolist() == kept
    assert rows.shape == (2, 4, 6)
    for k, g in enumerate(kept):
        assert rows[0, k].tolist() == [sizes[g] if size == g else 0 for size in range(6)]
        assert rows[1, k].tolist() == [0, sizes[g], 0, 0, 0, 0]
    mean = (rows * np.arange(6)).sum(-1) / rows.sum(-1)
    np.testing.assert_allclose(mean, measured.arrays["size_aps"])
