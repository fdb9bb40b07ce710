"""Any table from a file: its form and types are found, shown, and can be declared instead."""

import csv
import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trustbench.config.binding import bind
from trustbench.datasets.loading.frames import Reading, read_frame
from trustbench.errors import DataError

PEOPLE = pd.DataFrame(
    {
        "zip": ["01067", "10115", "80331", "99084", "50667", "20095"],
        "income": [1234.5, 20000.0, np.nan, 0.25, -3.0, 1e12],
        "born": pd.to_datetime(
            ["1980-02-29", "1999-12-31", "2001-01-01", "1970-05-06", "1985-07-08", "1990-10-11"]
        ),
        "member": [True, False, True, True, False, False],
        "job": ["nurse", "clerk", np.nan, "Bäcker", 'the "boss"', "a;b,c\td|e"],
        "target": [True, False, False, True, True, False],
    }
)


def same(found, wanted=PEOPLE):
    """Equal values and kinds; text may be object or string, dates may have any unit."""
    pd.testing.assert_frame_equal(
        found.reset_index(drop=True), wanted, check_dtype=False, check_index_type=False
    )
    kinds = {"zip": "O", "income": "f", "born": "M", "member": "b", "job": "O", "target": "b"}
    assert {c: found[c].dtype.kind for c in found} == kinds


def written(folder, name="t.csv", encoding="utf-8", **options):
    frame = PEOPLE.assign(
        born=PEOPLE["born"].dt.strftime("%Y-%m-%d"),
        member=PEOPLE["member"].map({True: "ja", False: "nein"}),
        target=PEOPLE["target"].astype(int),
    )
    path = folder / name
    frame.to_csv(path, encoding=encoding, **{"index": False, **options})
    return path


FORMS = {
    "comma": {},
    "semicolon": {"sep": ";"},
    "tab": {"sep": "\t"},
    "bar": {"sep": "|"},
    "decimal comma": {"sep": ";", "decimal": ","},
    "index": {"index": True},
    "CRLF": {"lineterminator": "\r\n"},
    "CR": {"lineterminator": "\r"},
    "UTF-8 with mark": {"encoding": "utf-8-sig"},
    "UTF-16": {"encoding": "utf-16"},
    "UTF-16 without mark": {"encoding": "utf-16-le"},
    "Latin-1": {"encoding": "latin-1"},
    "all quoted": {"quoting": 1},
    "single quotes": {"quoting": 1, "quotechar": "'"},
    "escaped": {"doublequote": False, "escapechar": "\\"},
    "missing codes": {"na_rep": "NA"},
}


@pytest.mark.parametrize("form", FORMS)
def test_one_table_in_many_forms_is_read_to_the_same_values(tmp_path, form):
    frame = read_frame(written(tmp_path, **FORMS[form]))
    same(frame.table)
    assert not frame.doubts


@pytest.mark.parametrize("form", ["comma", "decimal comma", "index", "UTF-16", "missing codes"])
def test_what_was_understood_reads_the_file_to_the_same_frame(tmp_path, form):
    path = written(tmp_path, **FORMS[form])
    first = read_frame(path)
    again = read_frame(path, bind(Reading, first.understood.plain(), "reading"))
    pd.testing.assert_frame_equal(again.table, first.table)
    assert again.understood == first.understood


def test_gzip_parquet_arrow_and_dataframes_are_read_to_the_same_values(tmp_path):
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(written(tmp_path).read_bytes()))
    PEOPLE.to_parquet(tmp_path / "t.parquet")
    PEOPLE.to_feather(tmp_path / "t.arrow")
    for table in (packed, tmp_path / "t.parquet", tmp_path / "t.arrow", PEOPLE):
        same(read_frame(table).table)


def test_a_decision_is_explained_in_plain_words(tmp_path):
    told = read_frame(written(tmp_path, sep=";", decimal=",", encoding="latin-1")).why
    assert told["separator"] == "semicolon: it gives each line 6 fields"
    assert told["encoding"] == (
        "latin-1: line 5 is not valid UTF-8 and is read as 'Bäcker'; check that word"
    )
    assert told["column zip"] == "read as text; '01067' has a leading zero, as codes have"
    assert told["column member"] == "read as boolean; 'nein' is false and 'ja' is true"


def test_an_unknown_column_in_a_declaration_gets_the_near_name(tmp_path):
    with pytest.raises(DataError, match=r"reading.types names the column 'Zip'.*mean 'zip'\?"):
        read_frame(written(tmp_path), Reading(types={"Zip": "text"}))


def test_a_separator_that_fits_the_header_too_comes_before_one_that_needs_row_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("number\tword, or several\tday\n" + "0.5\t;\t2000-01-01\n" * 3)
    assert list(read_frame(path).table) == ["number", "word, or several", "day"]


WORDS = st.lists(
    st.sampled_from([*"abü\"',;|\t\n 017.-", "nurse", "Bäcker"]), min_size=1, max_size=8
)
ROWS = st.lists(
    st.tuples(st.floats(-1e9, 1e9), WORDS.map("".join), st.dates()), min_size=2, max_size=20
)


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    rows=ROWS,
    separator=st.sampled_from(",;|\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
)
def test_what_python_writes_is_read_back(tmp_path_factory, rows, separator, quoting, end, encoding):
    path = tmp_path_factory.mktemp("written") / "t.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=end)
        writer.writerow(["number", "word, or several", "day"])
        writer.writerows([repr(x), word, day.isoformat()] for x, word, day in rows)
    declared = Reading(types={"word, or several": "text"}, missing=())
    table = read_frame(path, declared).table
    assert table["number"].astype(float).tolist() == [x for x, _, _ in rows]
    words = table["word, or several"].fillna("").tolist()
    assert words == [word.strip() for _, word, _ in rows]
    assert [d.date() for d in table["day"]] == [day for _, _, day in rows]
