"""What a column may hold: all else is refused, with its values, rows and place."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trustbench.datasets.loading.columns import Categorical, Numeric, Span, known, read_columns
from trustbench.datasets.loading.sources import Source
from trustbench.errors import DataError

SOURCE = Source("toy", Path("t.csv"), "correct the file")


def fields(*values):
    """A column whose rows stand on lines 2, 4, 6, ... of the file."""
    return pd.Series(values, index=pd.RangeIndex(2, 2 * len(values) + 2, 2, name="line"))


def test_codes_become_the_names_of_their_levels():
    column = Categorical("work", levels={"?": "unknown"} | known("a", "b"))
    assert column.read(SOURCE, fields("a", "?", "b", "a")).tolist() == ["a", "unknown", "b", "a"]


def test_number_codes_of_a_binary_file_are_read_without_their_point():
    column = Categorical("sex", levels=known("1", "2"))
    assert column.read(SOURCE, fields(1.0, 2.0)).tolist() == ["1", "2"]
    assert column.read(SOURCE, fields(2, 1)).tolist() == ["2", "1"]


def test_spans_name_the_range_that_a_code_lies_in():
    column = Categorical("job", spans={"low": Span(1, 9), "high": Span(20, 29)})
    assert column.read(SOURCE, fields(1.0, 29.0, 9.0)).tolist() == ["low", "high", "low"]
    assert column.read(SOURCE, fields("0020")).tolist() == ["high"]
    for gap in ("0", "10", "19", "30", "-5", "2.5", "x", "", "1e1", "٣"):
        with pytest.raises(DataError, match=r"unknown codes: .* known: 1 to 9"):
            column.read(SOURCE, fields("1", gap))


def test_an_unknown_code_is_named_with_its_rows_its_place_and_the_known_ones():
    column = Categorical("race", levels=known("A", "B"))
    with pytest.raises(DataError) as caught:
        column.read(SOURCE, fields("A", "C", "B", "C", "b"))
    assert str(caught.value) == (
        "dataset toy: column race of t.csv holds unknown codes: 'C' in 2 rows (first on "
        "line 4), 'b' in 1 row (first on line 10); known: A, B; correct the file."
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "no value in 1 row"),
        (1.5, "'1.5' in 1 row"),
        ("", "'' in 1 row"),
        ("x" * 500, "'" + "x" * 40 + "...' in 1 row"),
        ("a\nb", r"'a\nb' in 1 row"),
        (float("inf"), "'inf' in 1 row"),
        (None, "'None' in 1 row|no value in 1 row"),
    ],
)
def test_what_is_not_a_code_is_shown_on_one_line(value, shown):
    with pytest.raises(DataError) as caught:
        Categorical("c", levels=known("1")).read(SOURCE, fields(value))
    assert any(text in str(caught.value) for text in shown.split("|"))
    assert "\n" not in str(caught.value)


def test_many_unknown_codes_are_counted():
    with pytest.raises(DataError, match=r"'c' in 1 row \(first on line 6\) and 2 more; known"):
        Categorical("c", levels=known("1")).read(SOURCE, fields("a", "b", "c", "d", "e"))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("old", "'old' in 1 row (first on line 4), where a number belongs"),
        ("", "'' in 1 row (first on line 4), where a number belongs"),
        ("?", "where a number belongs"),
        ("nan", "where a number belongs"),
        ("inf", "where a number belongs"),
        (float("nan"), "no value in 1 row (first on line 4), where a number belongs"),
        ("16", "'16' in 1 row (first on line 4), outside of what is possible, from 17 to 120"),
        ("121", "outside of what is possible, from 17 to 120"),
        ("30.5", "where a whole number belongs"),
    ],
)
def test_what_is_not_a_possible_number_is_refused(value, says):
    with pytest.raises(DataError) as caught:
        Numeric("age", low=17, high=120, whole=True).read(SOURCE, fields("17", value, "120"))
    assert says in str(caught.value)


def test_a_number_without_a_largest_says_so():
    with pytest.raises(DataError, match="outside of what is possible, at least 0"):
        Numeric("n", low=0).read(SOURCE, fields("-1"))


def test_a_documented_absence_is_not_a_number_and_no_other_is():
    column = Numeric("days", whole=True, missing="")
    read = column.read(SOURCE, fields("3", "", "-400"))
    np.testing.assert_array_equal(read, [3, np.nan, -400])
    with pytest.raises(DataError, match="where a number belongs"):
        column.read(SOURCE, fields("3", "n/a"))


def test_columns_are_read_in_their_order_and_keep_their_place():
    table = pd.DataFrame({"b": fields("x", "y"), "a": fields("1", "2"), "c": fields("", "")})
    read = read_columns(SOURCE, table, (Numeric("a"), Categorical("b", levels=known("x", "y"))))
    assert read.columns.tolist() == ["a", "b"]
    assert read["a"].dtype == np.float64
    assert (read.index.name, read.index.tolist()) == ("line", [2, 4])
