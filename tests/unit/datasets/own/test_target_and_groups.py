"""The classes and groups of a stranger's table, and the sentences where there are none."""

import numpy as np
import pytest

from tests.unit.datasets.own.people import feature, loaded, people
from trustbench.datasets.loading.own.declared import DeclaredColumn
from trustbench.errors import DataError


def with_target(values):
    table = people()
    table["approved"] = values
    return table


def test_the_favourable_class_is_class_1_however_it_is_written(tmp_path):
    table = people()
    plain = loaded(tmp_path, table, favourable=None).problem
    turned = loaded(tmp_path, table, favourable="no").problem
    assert (plain.classes, turned.classes) == (("no", "yes"), ("yes", "no"))
    assumed = (
        "no favourable class is declared, so yes, the last of no and yes, is taken as favourable; "
        "declare it with dataset.favourable=yes"
    )
    assert plain.warnings == (assumed,)
    assert "Class 1 is yes. " in plain.card.description
    assert f" Warning: {assumed}." in plain.card.description
    assert turned.warnings == ()
    assert "Class 1 is no. Favourable: no." in turned.card.description
    numbers = with_target(np.where(table["approved"] == "yes", 1, 0))
    for spelling in (1, True, "yes"):
        assert loaded(tmp_path, numbers, favourable=spelling).problem.classes == ("0", "1")
    zero = loaded(tmp_path, numbers, favourable=0).problem
    np.testing.assert_array_equal(np.sort(zero.y), np.sort(turned.y))
    with pytest.raises(DataError, match=r"favourable=maybe is not a class of approved; .* no and"):
        loaded(tmp_path, table, favourable="maybe")


def test_a_target_may_have_many_classes_and_numbers_are_cut(tmp_path):
    table = people()
    more = with_target(np.resize(["good", "fair", "poor"], len(table)))
    assert loaded(tmp_path, more).problem.classes == ("fair", "good", "poor")
    amount = with_target(table["income"] + np.arange(len(table)) / 7)
    with pytest.raises(DataError, match=r"numbers, and trustbench predicts classes.*bins=\["):
        loaded(tmp_path, amount)
    cut = {"approved": DeclaredColumn(bins=(20000.0, 30000.0))}
    assert loaded(tmp_path, amount, columns=cut).problem.classes == (
        "below 20000",
        "20000 to below 30000",
        "30000 and above",
    )


def test_several_of_many_classes_may_be_favourable(tmp_path):
    more = with_target(np.resize(["good", "fair", "poor"], 1200))
    none = loaded(tmp_path, more).problem
    assert none.favourable is None
    both = loaded(tmp_path, more, favourable=("good", "fair")).problem
    assert (both.classes, both.favourable.tolist()) == (none.classes, [True, True, False])
    assert "Favourable: fair and good." in both.card.description
    one = loaded(tmp_path, more, favourable="good").problem
    assert one.favourable.tolist() == [False, True, False]
    assert len({p.fingerprint for p in (none, both, one)}) == 3
    np.testing.assert_array_equal(none.y, both.y)
    yes = loaded(tmp_path, people(), favourable=("no",)).problem
    assert (yes.classes, yes.favoured, yes.favourable.tolist()) == (
        ("yes", "no"), (), [False, True],
    )  # fmt: skip
    for given, says in (
        (("good", "best"), r"favourable=best is not a class of approved; .*fair"),
        (("good", "fair", "poor"), "names every class of approved .*people hope for"),
    ):
        with pytest.raises(DataError, match=says):
            loaded(tmp_path, more, favourable=given)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.resize(["yes"], 1200), r"approved has only the value 'yes'; .* both outcomes"),
        (np.array([f"v{k}" for k in range(1200)]), r"1,200 different values, more than 50 classes"),
    ],
    ids=["one class", "a class for each row"],
)
def test_a_target_that_is_none_gets_one_sentence(tmp_path, values, says):
    with pytest.raises(DataError, match=says):
        loaded(tmp_path, with_target(values))


def test_rows_without_a_class_are_refused_or_left_out(tmp_path):
    table = people()
    table.loc[[3, 9], "approved"] = None
    with pytest.raises(DataError, match=r"no value in 2 of 1,200 rows \(first: row 3\).*=drop"):
        loaded(tmp_path, table)
    problem = loaded(tmp_path, table, unlabelled="drop").problem
    assert len(problem.X) == 1198
    assert "2 rows without a class are left out." in problem.card.description


def test_groups_are_products_and_bins_and_need_not_be_inputs(tmp_path):
    columns = {"age": DeclaredColumn(bins=(30, 60))}
    prepared = loaded(tmp_path, people(), sensitive=("sex", "age"), columns=columns,
                      drop=("applied", "household", "sex"))  # fmt: skip
    problem, table = prepared.problem, prepared.table
    assert problem.group_name == "sex x age"
    assert len(problem.groups) == 6
    assert "sex" not in {f.name for f in problem.features}
    assert feature(problem, "age").mutable is False
    women_over_60 = ((table["sex"] == "female") & (table["age"] >= 60)).sum()
    place = problem.groups.index("sex female, age 60 and above")
    assert (problem.group == place).sum() == women_over_60


def test_small_groups_are_merged_and_said(tmp_path):
    table = people()
    table["race"] = np.where(np.arange(1200) < 12, "c", np.where(np.arange(1200) < 24, "d", "a"))
    table.loc[600:, "race"] = "b"
    problem = loaded(tmp_path, table, sensitive=("race",), min_group=20).problem
    assert problem.groups == ("a", "b", "other")
    assert "Groups below 20 rows are merged: c 12, d 12." in problem.card.description
    assert problem.encoder.group.of(table)[:24].tolist() == [2] * 24
    grown = loaded(tmp_path, table, sensitive=("race",), min_group=30).problem
    assert grown.groups == ("b", "other"), "too small together, it takes in the next smallest"
    assert "c 12, d 12 (a too, so that 30 rows are reached)." in grown.card.description


def test_a_missing_sensitive_value_is_a_group(tmp_path):
    table = people()
    table.loc[:99, "sex"] = None
    assert loaded(tmp_path, table).problem.groups == ("female", "male", "missing")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sensitive": ("income",)}, r"income, a number with .*columns\.income\.bins=\["),
        ({"sensitive": ("applied",)}, r"applied, which holds dates"),
        ({"sensitive": ("gender",)}, r"'gender', which is not a column"),
        ({"sensitive": ("approved",)}, r"approved is both dataset\.target and in"),
        ({"min_group": 900}, r"fewer than two groups of 900 .*merged: female"),
    ],
)
def test_groups_that_cannot_be_made_get_one_sentence(tmp_path, settings, says):
    with pytest.raises(DataError, match=says):
        loaded(tmp_path, people(), **settings)


def test_without_sensitive_columns_all_rows_are_one_group(tmp_path):
    assert loaded(tmp_path, people(), sensitive=()).problem.groups == ("everyone",)
