"""Files and DataFrames whose columns have types: Parquet, Arrow, pandas."""

import decimal
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.unit.datasets.loading.awkward import one_sentence, reader, values
from trustbench.datasets.loading.frames import Reading, read_frame
from trustbench.errors import DataError

D = pd.Timestamp


@pytest.fixture
def read(tmp_path):
    read = reader(tmp_path)

    def of(columns, reading=Reading()):  # noqa: B008
        buffer = io.BytesIO()
        parquet.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), buffer)
        return read(buffer.getvalue(), reading, "t.parquet")

    return of


COLUMNS = {
    "whole numbers": (pa.array([3, None, 5], pa.int8()), [3.0, None, 5.0]),
    "0 and 1": (pa.array([0, 1, 1]), [False, True, True]),
    "booleans": (pa.array([True, None, False]), [True, None, False]),
    "decimals": (pa.array([decimal.Decimal("1.25"), None]), [1.25, None]),
    "half precision": (pa.array(np.array([1.5, 2.5], dtype=np.float16)), [1.5, 2.5]),
    "ids of 19 digits": (pa.array([2**62, 2**62 + 1]), [str(2**62), str(2**62 + 1)]),
    "codes": (pa.array(["007", "12"]), ["007", "12"]),
    "numbers as text": (pa.array(["1.5", "2"]), ["1.5", "2"]),
    "words for missing": (pa.array(["a", "N/A", None]), ["a", None, None]),
    "yes and no": (pa.array(["yes", "no"]), [True, False]),
    "categories": (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
    "days": (pa.array([18321, None], pa.date32()), [D("2020-02-29"), None]),
    "nanoseconds": (pa.array([D("2020-02-29 01:02:03")]), [D("2020-02-29 01:02:03")]),
    "zones": (
        pa.array([D("2020-02-29 00:30", tz="Europe/Berlin")]),
        [D("2020-02-28 23:30")],
    ),
    "no values": (pa.nulls(2), [None, None]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_a_type_is_read_to_the_right_values(read, name):
    column, wanted = COLUMNS[name]
    frame = read({"a": column, "b": [1.5] * len(column)})
    assert values(frame)["a"] == wanted
    assert not frame.doubts


def test_structs_and_lists_of_one_length_become_columns(read):
    frame = read(
        {
            "who": [{"age": 30, "home": {"zip": "01067"}}, {"age": 40, "home": {"zip": "10115"}}],
            "e": [[0.5, 1.5], [2.5, 3.5]],
            "b": [1.5, 2.5],
        }
    )
    assert values(frame) == {
        "who.age": [30.0, 40.0],
        "who.home.zip": ["01067", "10115"],
        "e_0": [0.5, 2.5],
        "e_1": [1.5, 3.5],
        "b": [1.5, 2.5],
    }
    assert frame.why["column e"] == "its lists of 2 numbers became e_0 to e_1"


NESTED = {
    "lists of several lengths": ([[1.0], [1.0, 2.0]], "holds lists of different lengths"),
    "lists of words": ([["x"], ["y"]], "or of no numbers; write one column for each entry"),
    "lists with gaps": ([[1.0], None], "holds lists of different lengths"),
    "bytes": ([b"\xff\x00", b"\xfe"], "holds values of type binary, which are not read"),
    "maps": (pa.array([[("x", 1)], []], pa.map_(pa.string(), pa.int64())), "values of type map"),
}


@pytest.mark.parametrize("name", NESTED)
def test_a_column_that_is_not_a_table_s_is_refused_where_it_is_used(read, name):
    column, says = NESTED[name]
    frame = read({"a": column, "b": [1.5, 2.5]})
    assert values(frame)["b"] == [1.5, 2.5]
    frame.refuse_doubts(["b"])
    with pytest.raises(DataError, match=f"column a .*{says}") as caught:
        frame.refuse_doubts(["a"])
    one_sentence(str(caught.value))


def test_the_index_of_pandas_is_not_a_column(tmp_path):
    table = pd.DataFrame({"a": [1.5, 2.5]}, index=[7, 9])
    table.to_parquet(tmp_path / "t.parquet")
    frame = read_frame(tmp_path / "t.parquet")
    assert list(frame.table) == ["a"]
    assert frame.table.index.tolist() == [7, 9]
    assert frame.understood.index == "__index_level_0__"


def test_declarations_hold_for_columns_with_types(read):
    columns = {"a": [-1, 0, 1], "zip": [1067, 10115, 80331], "d": ["01/02/2020"] * 3}
    reading = Reading(missing={"a": (-1,)}, types={"zip": "text"}, dates={"d": "%d/%m/%Y"})
    frame = read(columns, reading)
    assert values(frame) == {
        "a": [None, False, True],
        "zip": ["1067", "10115", "80331"],
        "d": [D("2020-02-01")] * 3,
    }


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pa.table({"a": pa.array([], pa.int64())}), "holds no rows"),
        (pa.table([[1], [2]], names=["a", "a"]), "several columns named 'a', and they differ"),
    ],
)
def test_a_typed_table_that_is_not_one_gets_a_sentence(read, table, says):
    with pytest.raises(DataError, match=says) as caught:
        read(table)
    one_sentence(str(caught.value))


def test_a_dataframe_of_mixed_objects_gets_a_sentence():
    with pytest.raises(DataError, match="column a of the DataFrame holds values of several types"):
        read_frame(pd.DataFrame({"a": [1, "x", object()]}))


def test_a_dataframe_keeps_row_names_and_its_own_data():
    given = pd.DataFrame({"a": [1, 2, 3], "c": pd.Categorical(["x", "y", "x"])}, index=[5, 6, 7])
    before = given.copy()
    frame = read_frame(given, Reading(missing=(1,)))
    assert values(frame) == {"a": [None, 2.0, 3.0], "c": ["x", "y", "x"]}
    assert frame.table.index.tolist() == [5, 6, 7]
    pd.testing.assert_frame_equal(given, before)
