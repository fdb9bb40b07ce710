"""Tables made into problems: scaling without leaks, one-hot blocks, bounds, merged groups."""

import numpy as np
import pandas as pd
import pytest

from trustbench.contracts import DataCard
from trustbench.datasets.loading.columns import Categorical, Numeric
from trustbench.datasets.loading.tabular import Groups, groups_by, table_problem

CARD = DataCard("toy", "none", "none", "none")
COLUMNS = (
    Numeric("age", mutable=False),
    Categorical("job"),
    Numeric("pay"),
    Categorical("sex", mutable=False),
    Numeric("constant"),
)
SPLITS = {
    "train": np.arange(0, 60),
    "validation": np.arange(60, 70),
    "calibration": np.arange(70, 80),
    "test": np.arange(80, 100),
}


def table(n=110):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "job": rng.choice(["a", "b", "c"], n),
            "pay": rng.normal(1000, 300, n),
            "sex": rng.choice(["f", "m"], n),
            "constant": np.full(n, 7.0),
        }
    )


def problem_of(frame):
    group = (frame["sex"] == "f").to_numpy().astype(int)
    return table_problem(
        name="toy",
        frame=frame,
        columns=COLUMNS,
        y=np.arange(len(frame)) % 2,
        classes=("no", "yes"),
        groups=Groups("sex", ("m", "f"), group),
        splits=SPLITS,
        card=CARD,
    )


def test_numbers_are_standardised_on_the_pool():
    problem = problem_of(table())
    pool = problem.rows("train")[0]
    for name in ("age", "pay"):
        j = next(f for f in problem.features if f.name == name).columns[0]
        assert pool[:, j].mean() == pytest.approx(0, abs=1e-5)
        assert pool[:, j].std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("split", ["validation", "calibration", "test"])
def test_other_splits_do_not_leak_into_the_scaling(split):
    """Planted: one split's numbers are a thousand times larger; the pool must not notice."""
    frame, planted = table(), table()
    planted.loc[SPLITS[split], ["age", "pay"]] *= 1000
    clean, leaky = problem_of(frame), problem_of(planted)
    assert np.array_equal(clean.rows("train")[0], leaky.rows("train")[0])
    assert not np.array_equal(clean.rows(split)[0], leaky.rows(split)[0])


def test_the_pool_does_move_the_scaling():
    """The check above can fail: the same plant in the pool is noticed everywhere."""
    planted = table()
    planted.loc[SPLITS["train"][:30], ["age", "pay"]] *= 1000
    assert not np.allclose(problem_of(table()).rows("test")[0], problem_of(planted).rows("test")[0])


def test_rows_in_no_split_are_left_out_and_change_nothing():
    planted = table()
    planted.loc[100:, ["age", "pay"]] = 1e9
    clean, other = problem_of(table()), problem_of(planted)
    assert len(clean.X) == 100
    assert clean.fingerprint == other.fingerprint


def test_features_cover_every_column_once():
    problem = problem_of(table())
    columns = [c for f in problem.features for c in f.columns]
    assert columns == list(range(problem.n_features)) == list(range(3 + 3 + 2))


def test_one_hot_blocks_name_the_level_that_the_table_has():
    frame = table()
    problem = problem_of(frame)
    job = problem.features[1]
    block = problem.X[:, job.columns]
    assert (block.sum(1) == 1).all()
    assert job.levels == ("a", "b", "c")
    rows = np.concatenate([SPLITS[s] for s in ("train", "validation", "calibration", "test")])
    assert [job.levels[k] for k in block.argmax(1)] == frame["job"].iloc[rows].tolist()


def test_a_level_outside_of_the_subsample_keeps_its_column():
    frame = table()
    frame.loc[105, "job"] = "z"
    assert problem_of(frame).features[1].levels == ("a", "b", "c", "z")


def test_only_mutable_numbers_may_be_attacked():
    problem = problem_of(table())
    free = problem.per_column("scale") * problem.per_column("mutable")
    assert np.flatnonzero(free).tolist() == [4, 7]


def test_bounds_hold_the_pool_and_the_test_set_exactly():
    problem = problem_of(table())
    seen = np.concatenate([problem.rows("train")[0], problem.rows("test")[0]])
    assert np.array_equal(problem.per_column("lower"), np.where(hot(problem), 0, seen.min(0)))
    assert np.array_equal(problem.per_column("upper"), np.where(hot(problem), 1, seen.max(0)))


def hot(problem):
    out = np.zeros(problem.n_features, dtype=bool)
    for feature in problem.features:
        out[list(feature.columns)] = feature.kind == "categorical"
    return out


def test_a_constant_number_becomes_zero():
    assert (problem_of(table()).X[:, 7] == 0).all()


def test_levels_that_a_group_merges_are_counted_in_the_card():
    frame = table()
    levels = np.array(["a", "b", "c", "d"] * 25, dtype=object)
    groups = groups_by("g", levels, {"A": ("a",), "rest": ("b", "c", "d")}, {"d": "dee"})
    assert groups.codes.tolist() == [0, 1, 1, 1] * 25
    made = table_problem(
        name="toy",
        frame=frame.iloc[:100],
        columns=COLUMNS,
        y=np.arange(100) % 2,
        classes=("no", "yes"),
        groups=groups,
        splits={**SPLITS, "train": np.arange(0, 59)},  # row 59, a "d", is in no split
        card=CARD,
    )
    assert made.card.description == "toy Counted as rest: b 25, c 25, dee 24."


def test_groups_of_one_level_each_need_no_sentence():
    groups = groups_by("g", np.array(["a", "b"], dtype=object), {"A": ("a",), "B": ("b",)})
    assert groups.merged(np.array([0, 1])) == ""
