"""Raw tables: rows keep their place in the file, and what is not as described is one sentence."""

import pandas as pd
import pytest

from trustbench.datasets.loading.sources import Source
from trustbench.datasets.loading.tables import (
    positions,
    read_csv,
    read_fields,
    read_parquet,
    refuse_unknown,
)
from trustbench.errors import DataError


@pytest.fixture
def written(tmp_path):
    def write(content, name="t.data"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Source("toy", path, "correct the file")

    return write


def test_fields_are_read_as_text_without_comments_and_blanks(written):
    source = written("|a remark\n39, State-gov, x\r\n\n50,  ?, y \n")
    table = read_fields(source, ("age", "work", "z"), separator=",", comment="|")
    assert table.to_numpy().tolist() == [["39", "State-gov", "x"], ["50", "?", "y"]]
    assert (table.index.name, table.index.tolist()) == ("line", [2, 4])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("1,2,3\n1,2\n", "line 2 of .* has 2 fields, where each has 3: a, b, c; correct the"),
        ("1,2,3\n\n4,5,6,7\n", "line 3 of .* has 4 fields"),
        ("1,2,3,4,5,6\n", "line 1 of .* has 6 fields"),
        ("1,,3\n", r"line 1 of .* has 3 fields \(1 empty\)"),
        ("", "holds no rows"),
        (b"\xff\xfe\x00\x81,2,3\n", "is not text"),
    ],
)
def test_broken_lines_get_a_sentence(written, content, says):
    with pytest.raises(DataError, match=says) as caught:
        read_fields(written(content), ("a", "b", "c"), separator=",")
    assert "\n" not in str(caught.value)


def test_a_csv_is_read_with_the_line_that_each_record_begins_on(written):
    source = written('\ufeffb,"a",c\n1,"x, ""y""\nz",3\n\n4,u,6\n')
    table = read_csv(source, ["a", "b"])
    assert table.to_numpy().tolist() == [['x, "y"\nz', "1"], ["u", "4"]]
    assert table.index.tolist() == [2, 5]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("Race,sex\nA,f\n", r"no column 'race'; did you mean 'Race'\?"),
        ("race,sex\nA,f\nB\n", "line 3 of .* has 1 fields, where the header names 2"),
        ("race,sex\nA,f,g\n", "line 2 of .* has 3 fields"),
        ("race,sex\n", "holds no rows"),
        ("", "holds no rows"),
        ('race,sex\nA,"f\n', "cannot be read as a table"),
        ("race,sex,race\nA,f,A\nB,f,C\n", r"'race' 2 times, and they differ \(first on line 3\)"),
    ],
)
def test_a_broken_csv_gets_a_sentence(written, content, says):
    with pytest.raises(DataError, match=says):
        read_csv(written(content), ["race", "sex"])


def test_a_column_that_stands_there_twice_and_says_the_same_is_read_once(written):
    """ProPublica's own file has priors_count and decile_score twice."""
    table = read_csv(written("race,sex,race\nA,f,A\nB,f,B\n"), ["race", "sex"])
    assert table.to_numpy().tolist() == [["A", "f"], ["B", "f"]]


def test_parquet_rows_count_from_1(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4], "c": [5, 6]}).to_parquet(path)
    table = read_parquet(Source("toy", path, "correct it"), ["b", "a"])
    assert table.to_numpy().tolist() == [[3, 1.0], [4, 2.0]]
    assert (table.index.name, table.index.tolist()) == ("row", [1, 2])


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (None, "cannot be read as parquet"),
        (pd.DataFrame({"x": []}), "holds no rows"),
        (pd.DataFrame({"Age": [1]}), r"no column 'age'; did you mean 'Age'"),
    ],
    ids=["no parquet", "empty", "other columns"],
)
def test_a_broken_parquet_file_gets_a_sentence(tmp_path, frame, says):
    path = tmp_path / "t.parquet"
    if frame is None:
        path.write_bytes(b"PAR1 not parquet at all")
    else:
        frame.to_parquet(path)
    with pytest.raises(DataError, match=says):
        read_parquet(Source("toy", path, "correct it"), ["age"])


def test_levels_are_placed_among_the_names():
    assert positions(["yes", "no"], ("no", "yes")).tolist() == [1, 0]


def test_an_unknown_choice_gets_the_near_name():
    with pytest.raises(DataError, match=r"sensitive=rase is unknown; did you mean 'race'\?"):
        refuse_unknown("toy", "sensitive", "rase", {"race": 1, "sex": 2})
