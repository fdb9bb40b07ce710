"""Splits of a stranger's table keep what they promise, and copies of a row stay together."""

import numpy as np
import pandas as pd
import pytest

from tests.unit.datasets.own.people import column, loaded, people
from trustbench.contracts import SPLITS
from trustbench.datasets.loading.own.declared import DeclaredColumn, Split
from trustbench.datasets.loading.own.splitting import copies_of
from trustbench.errors import DataError


def part_of_rows(tmp_path, table, **settings):
    """The part of each row of the table, found by a number that only it has."""
    table = table.assign(number=np.arange(len(table)) / 7)
    problem = loaded(tmp_path, table, **settings).problem
    rule = next(r for r in problem.encoder.columns if r.name == "number")
    raw = column(problem, "number").astype(np.float64) * rule.deviation + rule.mean
    rows = np.rint(raw * 7).astype(np.int64)
    part = np.full(len(table), "", dtype=object)
    for name in SPLITS:
        part[rows[problem.splits[name]]] = name
    return part


def test_a_random_split_is_stratified_by_class_and_group(tmp_path):
    problem = loaded(tmp_path, people(2000)).problem
    whole = problem.y.mean(), problem.group.mean()
    for name in SPLITS:
        _, y, group = problem.rows(name)
        assert abs(y.mean() - whole[0]) < 0.01
        assert abs(group.mean() - whole[1]) < 0.01
    assert len(problem.splits["test"]) == 500


def test_no_household_is_in_two_parts(tmp_path):
    table = people()
    part = part_of_rows(tmp_path, table, split=Split(by="group", column="household"))
    homes = pd.Series(part).groupby(table["household"]).nunique()
    assert homes.max() == 1
    shares = pd.Series(part).value_counts(normalize=True)
    assert shares["test"] == pytest.approx(0.25, abs=0.02)
    assert shares["validation"] == pytest.approx(0.10, abs=0.02)


def test_a_split_by_date_trains_on_the_past(tmp_path):
    table = people()
    part = part_of_rows(tmp_path, table, split=Split(by="date", column="applied"))
    dates = {name: table["applied"][part == name] for name in SPLITS}
    assert dates["train"].max() < dates["validation"].min()
    assert dates["validation"].max() < dates["calibration"].min()
    assert dates["calibration"].max() < dates["test"].min()
    assert len(dates["test"]) / len(table) == pytest.approx(0.25, abs=0.02)


def test_a_split_column_is_followed_and_the_rest_is_drawn_from_train(tmp_path):
    table = people()
    table["part"] = np.resize(["train", "train", "test"], len(table))
    part = part_of_rows(tmp_path, table, split=Split(by="column", column="part"))
    assert ((part == "test") == (table["part"] == "test")).all()
    assert (part == "calibration").sum() > 100
    table["part"] = np.resize(["Train", "val", "calib", "test"], len(table))
    part = part_of_rows(tmp_path, table, split=Split(by="column", column="part"))
    assert ((part == "validation") == (table["part"] == "val")).all()


def doubled(n=1000, copies=100):
    table = people(n)
    return pd.concat([table, table.iloc[:copies]], ignore_index=True)


def crossing(problem):
    """How many rows have a copy in another part."""
    seen = {}
    for name in SPLITS:
        X, y, _ = problem.rows(name)
        for row, label in zip(X, y, strict=True):
            seen.setdefault((row.tobytes(), label), set()).add(name)
    return sum(len(parts) > 1 for parts in seen.values())


def test_copies_are_kept_in_one_part_ignored_or_refused(tmp_path):
    table = doubled()
    together = loaded(tmp_path, table)
    assert together.copies == 200
    assert crossing(together.problem) == 0
    assert "200 of 1,100 rows repeat" in together.problem.card.description
    assert not together.problem.warnings
    ignored = loaded(tmp_path, table, split=Split(duplicates="ignore")).problem
    assert crossing(ignored) > 20
    assert "have a copy in another part" in ignored.warnings[0]
    with pytest.raises(DataError, match=r"200 rows repeat .*duplicates=refuse"):
        loaded(tmp_path, table, split=Split(duplicates="refuse"))
    with pytest.raises(DataError, match="have a copy in another part"):
        loaded(tmp_path, table, split=Split(duplicates="ignore"), leakage="refuse")
    silent = loaded(tmp_path, table, split=Split(duplicates="ignore"), leakage="ignore")
    assert not silent.problem.warnings


def test_given_parts_lose_the_copies_that_are_held_out(tmp_path):
    table = doubled()
    table["part"] = np.resize(["train", "validation", "calibration"], len(table))
    table.loc[1000:, "part"] = "test"
    split = Split(by="column", column="part", duplicates="together")
    problem = loaded(tmp_path, table, split=split).problem
    assert crossing(problem) == 0
    assert len(problem.splits["test"]) == 100
    assert len(problem.X) == 1000


def test_in_a_coarse_table_equal_rows_are_different_people(tmp_path):
    table = people(1000)[["sex", "region", "approved"]]
    prepared = loaded(tmp_path, table)
    assert prepared.copies == 1000
    assert len(prepared.problem.splits["test"]) == 250


def test_copies_agree_in_inputs_and_class():
    inputs = pd.DataFrame({"a": [1.0, 1.0, 1.0, np.nan, np.nan], "b": list("xxyzz")})
    found = copies_of(inputs, np.array([0, 0, 0, 1, 1]))
    assert found.rows == 4
    assert copies_of(inputs, np.array([0, 1, 0, 1, 1])).rows == 2


@pytest.mark.parametrize(
    ("split", "says"),
    [
        (Split(by="group"), r"needs dataset\.split\.column=NAME"),
        (Split(by="group", column="number"), r"a different value in every row"),
        (Split(by="date", column="region"), r"neither dates nor numbers"),
        (Split(by="column", column="region"), r"holds .* in some rows; its values are train, test"),
        (Split(test=0.6, calibration=0.3, validation=0.2), r"none is left for training"),
        (Split(test=0.01), r"the test part has 12 rows, fewer than 20"),
        (Split(by="column", column="home"), r"'home', which is not a column; did you mean"),
    ],
)
def test_a_split_that_cannot_be_made_gets_one_sentence(tmp_path, split, says):
    with pytest.raises(DataError, match=says):
        loaded(tmp_path, people().assign(number=np.arange(1200.0)), split=split)


def test_a_subsample_is_part_of_the_whole(tmp_path):
    columns = {"applied": DeclaredColumn(parts=("days",))}
    settings = {"columns": columns, "drop": ("household",)}
    part = loaded(tmp_path, people(2000), subsample=600, **settings)
    assert len(part.problem.X) == 600
    assert "Here a subsample of 600 rows." in part.problem.card.description
