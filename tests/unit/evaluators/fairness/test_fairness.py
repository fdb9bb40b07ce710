"""Fairness against fairlearn, and what happens to small groups and other tasks."""

import dataclasses

import numpy as np
import pytest
import torch
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    demographic_parity_ratio,
    equalized_odds_difference,
)
from sklearn.metrics import accuracy_score, recall_score

from tests.conftest import make_problem, make_system
from trustbench.evaluators.fairness.fairness import Fairness


@pytest.fixture(scope="module")
def three_groups():
    return make_system(make_problem(n=1500, groups=3, shift=0.7, seed=4), 3)


def named(measured):
    return {m.name: m.values for m in measured.measurements if not m.diagnostic}


def nulls(measured):
    """Name -> (values, null) of every metric that names one."""
    values = {m.name: m.values for m in measured.measurements}
    return {m.name: (m.values, values[m.null]) for m in measured.measurements if m.null}


def deciding(system, decisions):
    """The system with given decisions [R, n] on the test set."""
    return dataclasses.replace(system, decider=lambda X, group: torch.as_tensor(decisions))


def decisions_of(system):
    return system.split_logits("test").argmax(-1).numpy()


def fairlearn(problem, decided):
    _, y, group = problem.rows("test")
    kwargs = {"sensitive_features": group}
    frame = MetricFrame(metrics=accuracy_score, y_true=y, y_pred=decided, **kwargs)
    return {
        "acc_gap": frame.difference(),
        "worst_group_acc": frame.group_min(),
        "eo_gap": equalized_odds_difference(y, decided, **kwargs),
        "dp_gap": demographic_parity_difference(y, decided, **kwargs),
        "dp_ratio": demographic_parity_ratio(y, decided, **kwargs),
        "class_sd": np.std(recall_score(y, decided, average=None)),
    }


@pytest.mark.parametrize("name", ["system", "three_groups"])
def test_every_number_is_that_of_fairlearn(name, request):
    system = request.getfixturevalue(name)
    found, decided = named(Fairness(min_group=1, min_cell=1).measure(system)), decisions_of(system)
    assert next(iter(found)) == "acc_gap"
    for r in range(system.replicates):
        theirs = fairlearn(system.problem, decided[r])
        assert {k: v[r] for k, v in found.items()} == pytest.approx(theirs, abs=1e-12)


def test_the_comparison_sees_one_decision_that_changed(three_groups):
    _, y, group = three_groups.problem.rows("test")
    decided = decisions_of(three_groups).copy()
    theirs = fairlearn(three_groups.problem, decided[0])
    # The group at the top or bottom of a rate: a changed decision there must show.
    worst = np.argmin([(decided[0] == y)[group == g].mean() for g in range(3)])
    row = np.flatnonzero((group == worst) & (decided[0] == y))[0]
    decided[0, row] = 1 - decided[0, row]
    found = named(Fairness(min_group=1, min_cell=1).measure(deciding(three_groups, decided)))
    assert abs(found["acc_gap"][0] - theirs["acc_gap"]) > 1e-3


def test_classes_as_groups_give_gaps_of_recall(multiclass_system):
    measured = Fairness().measure(multiclass_system)
    assert set(measured.missing) == {"eo_gap", "dp_gap", "dp_ratio"}
    assert measured.missing["eo_gap"] == (
        "eo_gap needs two classes, or favourable ones that are declared; this task has 5"
    )
    assert set(named(measured)) == {"acc_gap", "worst_group_acc", "class_sd"}


def test_favourable_classes_of_several_count_as_one_decision(multiclass_system):
    """As fairlearn measures the same rows with the classes merged to favourable and other."""
    favoured = (0, 3)
    problem = dataclasses.replace(multiclass_system.problem, favoured=favoured)
    system = dataclasses.replace(multiclass_system, problem=problem)
    measured = Fairness(min_group=1, min_cell=1).measure(system)
    assert not measured.missing
    _, y, group = problem.rows("test")
    found, decided = named(measured), decisions_of(system)
    for r in range(system.replicates):
        merged = np.isin(decided[r], favoured).astype(int)
        kwargs = {"sensitive_features": group}
        good = np.isin(y, favoured).astype(int)
        assert found["dp_gap"][r] == pytest.approx(
            demographic_parity_difference(good, merged, **kwargs)
        )
        assert found["dp_ratio"][r] == pytest.approx(
            demographic_parity_ratio(good, merged, **kwargs)
        )
        assert found["eo_gap"][r] == pytest.approx(
            equalized_odds_difference(good, merged, **kwargs)
        )
    plain = Fairness(min_group=1, min_cell=1).measure(multiclass_system)
    for name, values in named(plain).items():
        np.testing.assert_array_equal(found[name], values)


def test_small_groups_are_left_out_and_named(three_groups):
    _, y, group = three_groups.problem.rows("test")
    sizes = np.bincount(group)
    small = int(sizes.argmin())
    decided = np.where(group == small, 1 - y, y)[None].repeat(3, axis=0)
    system = deciding(three_groups, decided)
    assert (
        named(Fairness(min_group=int(sizes.min())).measure(system))["acc_gap"].tolist() == [1] * 3
    )
    measured = Fairness(min_group=int(sizes.min()) + 1).measure(system)
    assert named(measured)["acc_gap"].tolist() == [0] * 3
    assert measured.facts["left_out"] == f"g{small}"
    assert measured.facts[f"n_g{small}"] == sizes.min()
    assert measured.measurements[0].n == len(y) - sizes.min()
    assert measured.arrays["group_accuracy"][:, small].tolist() == [0] * 3


def test_without_two_large_groups_every_gap_has_a_reason(system):
    measured = Fairness(min_group=170).measure(system)
    assert set(measured.missing) >= {"acc_gap", "worst_group_acc", "eo_gap", "dp_gap", "dp_ratio"}
    assert measured.missing["acc_gap"] == "acc_gap needs 2 groups of at least 170 test rows"


def test_rates_of_small_cells_are_left_out(three_groups):
    _, y, group = three_groups.problem.rows("test")
    cells = np.bincount(group * 2 + y)
    measured = Fairness(min_cell=int(cells.min()) + 1).measure(three_groups)
    assert measured.facts["eo_left_out"] == f"g{cells.argmin() // 2}"
    measured = Fairness(min_cell=int(cells.max()) + 1).measure(three_groups)
    reason = f"needs 2 groups of at least 20 test rows, at least {cells.max() + 1} of each class"
    assert measured.missing == {"eo_gap": f"eo_gap {reason}"}


def test_a_ratio_of_nothing_is_missing(system):
    n = len(system.problem.splits["test"])
    measured = Fairness().measure(deciding(system, np.zeros((4, n), dtype=np.int64)))
    assert measured.missing == {"dp_ratio": "dp_ratio is 0 / 0: some replicate decides for nobody"}
    assert named(measured)["dp_gap"].tolist() == [0] * 4


@pytest.mark.parametrize("nobody", [0, 3])
def test_one_replicate_that_decides_for_nobody_leaves_no_ratio(system, nobody):
    decided = decisions_of(system).copy()
    decided[nobody] = 0
    measured = Fairness().measure(deciding(system, decided))
    assert measured.missing == {"dp_ratio": "dp_ratio is 0 / 0: some replicate decides for nobody"}
    gaps = named(measured)["dp_gap"]
    assert gaps[nobody] == 0
    assert (np.delete(gaps, nobody) > 0).all()


def test_a_group_without_a_favourable_decision_has_the_ratio_0(system):
    """fairlearn's number; the four-fifths rule is broken as far as it can be."""
    _, _, group = system.problem.rows("test")
    decided = decisions_of(system).copy()
    decided[1, group == 0] = 0
    measured = Fairness().measure(deciding(system, decided))
    found = named(measured)
    assert not measured.missing
    for r in range(4):
        theirs = fairlearn(system.problem, decided[r])
        assert found["dp_ratio"][r] == pytest.approx(theirs["dp_ratio"], abs=1e-12)
    assert found["dp_ratio"][1] == 0 < found["dp_ratio"][0]
    assert found["dp_gap"][1] == decided[1, group == 1].mean()


def test_gaps_of_groups_that_mean_nothing_are_those_of_random_groups(system):
    """Mean over many groupings that mean nothing: each metric is centred at its null."""
    rng = np.random.default_rng(0)
    problem = system.problem
    differences = {}
    for _ in range(40):
        group = problem.group.copy()
        test = problem.splits["test"]
        group[test] = rng.permutation(group[test])
        regrouped = dataclasses.replace(problem, group=group)
        found = Fairness().measure(dataclasses.replace(system, problem=regrouped))
        for name, (values, null) in nulls(found).items():
            differences.setdefault(name, []).append((values - null).mean())
    assert np.ptp(differences.pop("class_sd")) < 1e-12, "classes are not groups here"
    assert set(differences) == {"acc_gap", "worst_group_acc", "eo_gap", "dp_gap", "dp_ratio"}
    for name, values in differences.items():
        error = np.std(values, ddof=1) / np.sqrt(len(values))
        assert abs(np.mean(values)) < 3.5 * error, name


def test_the_null_of_odds_keeps_the_labels_of_each_group(three_groups):
    """A perfect model has no gap in odds; nor have random groups, and dp_gap has a null above 0."""
    y = three_groups.problem.rows("test")[1]
    found = nulls(Fairness().measure(deciding(three_groups, np.tile(y, (3, 1)))))
    assert found["eo_gap"][1].tolist() == [0] * 3
    assert (found["dp_gap"][1] > 0.01).all()


def test_a_null_says_how_far_the_luck_of_one_grouping_goes(system):
    by_name = {m.name: m for m in Fairness().measure(system).measurements}
    null = by_name["acc_gap_permuted"]
    assert null.permuted.shape == (100,)
    assert null.common_sd == pytest.approx(null.permuted.std(ddof=1))
    assert null.values.mean() == pytest.approx(null.permuted.mean())
