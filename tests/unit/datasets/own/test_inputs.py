"""The columns of a stranger's table become inputs of the right kind, learnt on training rows."""

import numpy as np
import pandas as pd
import pytest

from tests.unit.datasets.own.people import column, feature, loaded, people
from trustbench.contracts import Encoder
from trustbench.datasets.loading.own.declared import DeclaredColumn
from trustbench.errors import DataError


def test_a_table_loads_with_three_settings(tmp_path):
    problem = loaded(tmp_path, people()).problem
    kinds = {f.name: f.kind for f in problem.features}
    assert kinds == {
        "income": "numeric",
        "tenure": "numeric",
        "sex": "categorical",
        "age": "numeric",
        "region": "categorical",
    }
    assert problem.classes == ("no", "yes")
    assert (problem.groups, problem.group_name) == (("female", "male"), "sex")
    pool = problem.rows("train")[0]
    np.testing.assert_allclose(pool[:, 0].mean(), 0, atol=1e-5)
    np.testing.assert_allclose(pool[:, 0].std(), 1, atol=1e-5)


def test_rows_of_other_parts_move_no_scale_no_level_and_no_fill(tmp_path):
    table = people()
    table["part"] = np.resize(["train", "train", "validation", "calibration", "test"], len(table))
    table.loc[::7, "tenure"] = np.nan
    table["town"] = np.where(np.arange(len(table)) % 40 == 0, "rare", "common")
    split = {"by": "column", "column": "part"}
    from trustbench.datasets.loading.own.declared import Split

    def rules(frame):
        return loaded(tmp_path, frame, split=Split(**split)).problem.encoder.columns

    before = rules(table)
    changed = table.copy()
    held_out = table["part"] != "train"
    changed.loc[held_out, "income"] *= 100
    changed.loc[held_out & changed["tenure"].notna(), "tenure"] = 99
    changed.loc[held_out, "town"] = "rare"
    assert rules(changed) == before
    changed.loc[~held_out, "income"] *= 2
    assert rules(changed) != before


def test_flags_are_categories_whatever_they_are_written_as(tmp_path):
    table = people()
    table["number"] = np.resize([0.0, 1.0], len(table))
    table["truth"] = np.resize([True, False, False], len(table))
    table["pair"] = np.resize([3.0, 8.0], len(table))
    problem = loaded(tmp_path, table).problem
    levels = {name: feature(problem, name).levels for name in ("number", "truth", "pair")}
    assert levels == {"number": ("0", "1"), "truth": ("no", "yes"), "pair": ("3", "8")}
    assert feature(problem, "number").scale == 0


def test_rare_levels_and_those_beyond_the_most_frequent_are_one(tmp_path):
    table = people(3000)
    rng = np.random.default_rng(1)
    table["zip"] = rng.choice([f"z{k:05d}" for k in range(10_000)], len(table))
    table["shop"] = rng.choice([f"s{k}" for k in range(80)], len(table))
    table["odd"] = np.where(np.arange(len(table)) == 5, "single", "usual")
    problem = loaded(tmp_path, table, min_level=5, max_levels=12).problem
    assert feature(problem, "zip").levels == ("other",)
    shop = feature(problem, "shop")
    assert len(shop.levels) == 12
    assert shop.levels[-1] == "other"
    assert feature(problem, "odd").levels == ("single", "usual"), "one level keeps its name"
    pool = table.iloc[0:0]
    assert pool.empty
    assert (column(problem, "shop").sum(axis=1) == 1).all()


def test_missing_values_get_an_indicator_or_a_level(tmp_path):
    table = people()
    table.loc[::5, "tenure"] = np.nan
    table.loc[::6, "region"] = None
    prepared = loaded(tmp_path, table)
    problem = prepared.problem
    marked = column(problem, "tenure is missing")
    assert marked.sum() == table["tenure"].isna().sum()
    assert np.unique(column(problem, "tenure")[marked == 1]).size == 1
    rule = next(r for r in problem.encoder.columns if r.name == "tenure")
    assert (
        rule.fill
        == np.median(
            problem.encoder.columns[1].mean
            + problem.rows("train")[0][:, 1][problem.rows("train")[0][:, 2] == 0] * rule.deviation
        ).round()
    )
    assert "missing" in feature(problem, "region").levels
    assert "Missing values: tenure 240 (median " in problem.card.description
    assert "region 200 (level missing)" in problem.card.description


def test_missing_values_are_imputed_or_refused_on_request(tmp_path):
    table = people()
    table.loc[::5, "tenure"] = np.nan
    table.loc[::6, "region"] = None
    problem = loaded(tmp_path, table, missing="impute").problem
    assert not [f for f in problem.features if "missing" in f.name]
    assert "missing" not in feature(problem, "region").levels
    refused = {"tenure": DeclaredColumn(missing="refuse")}
    with pytest.raises(DataError, match=r"tenure has no value in 240 rows.*missing=own"):
        loaded(tmp_path, table, columns=refused)


def test_ordered_categories_are_places_and_dates_are_parts(tmp_path):
    table = people()
    table["grade"] = np.resize(["low", "mid", "high"], len(table))
    columns = {
        "grade": DeclaredColumn(kind="ordered", levels=("low", "mid", "high")),
        "applied": DeclaredColumn(parts=("year", "weekday", "days")),
    }
    problem = loaded(tmp_path, table, columns=columns, drop=("household",)).problem
    grade = column(problem, "grade")
    rows = np.concatenate([problem.splits[s] for s in ("train", "validation")])
    assert len(np.unique(grade[rows])) == 3
    assert feature(problem, "grade").scale == 0
    days = column(problem, "applied.days")
    assert np.corrcoef(days, column(problem, "applied.year"))[0, 1] > 0.8
    assert len(np.unique(column(problem, "applied.weekday"))) == 7
    with pytest.raises(DataError, match=r"'mid', which its order of levels does not name"):
        loaded(
            tmp_path,
            table,
            columns={"grade": DeclaredColumn(kind="ordered", levels=("low", "high"))},
        )


def test_dates_without_parts_and_text_are_refused_with_the_way_out(tmp_path):
    table = people()
    with pytest.raises(DataError, match=r"applied\.parts=\[year,month,weekday\].*drop=\[applied\]"):
        loaded(tmp_path, table, drop=())
    words = np.random.default_rng(0).choice(["late", "paid", "called", "moved", "new"], (1200, 6))
    table["note"] = [" ".join(row) for row in words]
    with pytest.raises(DataError, match=r"note holds text \(6 words .*embedding=\[note_\*\]"):
        loaded(tmp_path, table)
    table["remark"], table["closed"] = table["note"], table["applied"]
    with pytest.raises(DataError, match=r"note holds.*remark holds.*drop=\[note,remark\]"):
        loaded(tmp_path, table, drop=())
    both = r"columns applied and closed hold dates.*closed\.parts=.*drop=\[applied,closed\]"
    with pytest.raises(DataError, match=both):
        loaded(tmp_path, table, drop=("note", "remark"))


def test_an_embedding_is_one_feature_that_nothing_perturbs(tmp_path):
    table = people()
    vectors = np.random.default_rng(2).normal(size=(len(table), 8))
    table[[f"note_{k}" for k in range(8)]] = vectors
    problem = loaded(tmp_path, table, embedding=("note_*",)).problem
    note = feature(problem, "note")
    assert (note.kind, len(note.columns), note.scale) == ("embedding", 8, 0.0)
    assert problem.per_column("scale")[list(note.columns)].max() == 0
    with pytest.raises(DataError, match=r"embedding has the pattern 'x_\*', which no column"):
        loaded(tmp_path, table, embedding=("x_*",))
    with pytest.raises(DataError, match=r"column note_0 into note_\* and note_0"):
        loaded(tmp_path, table, embedding=("note_*", "note_0"))


def test_who_can_change_what(tmp_path):
    columns = {
        "tenure": DeclaredColumn(change="up"),
        "income": DeclaredColumn(scale=0.5, low=0, high=1e6),
    }
    problem = loaded(tmp_path, people(), columns=columns, immutable=("age",)).problem
    assert {f.name: f.mutable for f in problem.features} == {
        "income": True, "tenure": True, "sex": False, "age": False, "region": True,
    }  # fmt: skip
    assert feature(problem, "tenure").change == "up"
    income, rule = feature(problem, "income"), problem.encoder.columns[0]
    assert income.scale == 0.5
    assert income.lower == pytest.approx(-rule.mean / rule.deviation)
    assert income.upper == pytest.approx((1e6 - rule.mean) / rule.deviation)
    only = loaded(tmp_path, people(), actionable=("tenure",)).problem
    assert [f.name for f in only.features if f.mutable] == ["tenure"]
    with pytest.raises(DataError, match=r"age is in dataset\.immutable and in dataset\.actionable"):
        loaded(tmp_path, people(), immutable=("age",), actionable=("age",))


def test_the_direction_of_a_change_is_in_the_fingerprint(tmp_path):
    prints = {
        loaded(tmp_path, people(), columns=c).problem.fingerprint
        for c in (
            {},
            {"tenure": DeclaredColumn(change="up")},
            {"tenure": DeclaredColumn(change="down")},
        )
    }
    assert len(prints) == 3


def test_numbers_outside_of_their_range_are_refused_or_moved(tmp_path):
    table = people()
    table.loc[3, "age"] = 999
    with pytest.raises(DataError, match=r"age has 1 numbers outside .* 0 to 120 \(such as 999\)"):
        loaded(tmp_path, table, columns={"age": DeclaredColumn(low=0, high=120)})
    moved = loaded(
        tmp_path, table, columns={"age": DeclaredColumn(low=0, high=120, clip=True)}
    ).problem
    top = feature(moved, "age").upper
    assert column(moved, "age").max() == pytest.approx(top)
    table.loc[3, "age"] = np.inf
    with pytest.raises(DataError, match=r"age has infinite numbers in 1 rows"):
        loaded(tmp_path, table)


def test_the_encoder_gives_the_inputs_of_raw_rows_after_a_round_trip(tmp_path):
    table = people()
    table.loc[::5, "tenure"] = np.nan
    table.loc[::6, "region"] = None
    table["flag"] = np.resize([True, False, False], len(table))
    columns = {
        "applied": DeclaredColumn(parts=("month",)),
        "age": DeclaredColumn(bins=(40,)),
        "income": DeclaredColumn(high=30000, clip=True),
    }
    prepared = loaded(
        tmp_path, table, columns=columns, sensitive=("sex", "age"), drop=("household",)
    )
    problem = prepared.problem
    encoder = Encoder.from_json(problem.encoder.to_json())
    sent = table.sample(50, random_state=1).astype({"flag": object})
    again = encoder.encode(sent)
    known = {x.tobytes() for x in problem.X}
    assert all(x.tobytes() in known for x in again)
    assert problem.groups == (
        "sex female, age below 40",
        "sex female, age 40 and above",
        "sex male, age below 40",
        "sex male, age 40 and above",
    )
    whole = encoder.group.of(prepared.table)
    expected = 2 * (table["sex"] == "male") + (table["age"] >= 40)
    np.testing.assert_array_equal(whole, expected)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"target": "aproved"}, r"'aproved', which is not a column; did you mean 'approved'"),
        ({"target": None}, r"give dataset\.target=NAME \(columns: income, tenure"),
        ({"drop": ("nothing",)}, r"dataset\.drop names 'nothing'"),
        ({"immutable": ("incom",)}, r"dataset\.immutable names 'incom'.*'income'"),
        ({"columns": {"x": DeclaredColumn()}}, r"dataset\.columns names 'x'"),
        ({"columns": {"region": DeclaredColumn(kind="number")}}, r"kind=number, but region holds"),
        ({"columns": {"region": DeclaredColumn(kind="date")}}, r"region was not read as dates"),
        ({"columns": {"region": DeclaredColumn(kind="ordered")}}, r"ordered needs the order"),
        ({"columns": {"region": DeclaredColumn(levels=("north",))}}, r"holds '.*declared levels"),
        ({"drop": ("*",)}, r"no column is left as an input"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_gets_one_sentence(tmp_path, settings, says):
    with pytest.raises(DataError, match=says) as caught:
        loaded(tmp_path, people(), **settings)
    assert "\n" not in str(caught.value)


def test_a_column_without_any_value_is_left_out_and_said(tmp_path):
    table = people()
    table["empty"] = pd.Series([None] * len(table), dtype=object)
    prepared = loaded(tmp_path, table)
    assert "empty" in prepared.left_out
    assert "Columns left out: applied, household, empty." in prepared.problem.card.description
