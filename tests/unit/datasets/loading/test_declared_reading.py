"""What a user declares about a table goes before what is sniffed."""

import pandas as pd
import pytest

from tests.unit.datasets.loading.awkward import one_sentence, reader, values
from trustbench.datasets.loading.frames import Reading
from trustbench.errors import DataError

D = pd.Timestamp


@pytest.fixture
def read(tmp_path):
    return reader(tmp_path)


DECLARED = {
    "separator": (
        "a,b;c\n1,2;3\n4,5;6\n",
        Reading(separator=";"),
        {"a,b": [1.2, 4.5], "c": [3.0, 6.0]},
    ),
    "separator by name": (
        "a\tb\n1\tx\n2\ty\n",
        Reading(separator="tab"),
        {"a": [1.0, 2.0], "b": ["x", "y"]},
    ),
    "decimal": (
        "a;b\n1,234;x\n5,678;y\n",
        Reading(decimal=","),
        {"a": [1.234, 5.678], "b": ["x", "y"]},
    ),
    "thousands": (
        "a;b\n1,234;x\n5,678;y\n",
        Reading(thousands=","),
        {"a": [1234.0, 5678.0], "b": ["x", "y"]},
    ),
    "encoding": (
        "a,b\n1,Ł\n2,y\n".encode("cp1250"),
        Reading(encoding="cp1250"),
        {"a": [1.0, 2.0], "b": ["Ł", "y"]},
    ),
    "UTF-16 by name": (
        "a,b\n1,x\n2,y\n".encode("utf-16"),
        Reading(encoding="utf-16"),
        {"a": [1.0, 2.0], "b": ["x", "y"]},
    ),
    "header": (
        "0,1\n2,3\n4,5\n",
        Reading(header=False),
        {"column_1": [0.0, 2.0, 4.0], "column_2": [1.0, 3.0, 5.0]},
    ),
    "names": ("3,x\n4,y\n", Reading(names=("a", "b")), {"a": [3.0, 4.0], "b": ["x", "y"]}),
    "names for a header": (
        "a,b,a\n1,x,1\n2,y,3\n",
        Reading(names=("a", "b", "c")),
        {"a": [1.0, 2.0], "b": ["x", "y"], "c": [1.0, 3.0]},
    ),
    "index": ("id,b\nu,1.5\nv,2\n", Reading(index="id"), {"b": [1.5, 2.0]}),
    "no index": (
        ",b\n7,1.5\n8,2\n",
        Reading(index=False),
        {"column_1": [7.0, 8.0], "b": [1.5, 2.0]},
    ),
    "no quotes": (
        'a,b\n1,"x\n2,"y\n',
        Reading(quoting="none"),
        {"a": [1.0, 2.0], "b": ['"x', '"y']},
    ),
    "text": ("a,b\n1,1.5\n2,2\n", Reading(types={"a": "text"}), {"a": ["1", "2"], "b": [1.5, 2.0]}),
    "number": (
        "a,b\n007,1.5\n12,2\n",
        Reading(types={"a": "number"}),
        {"a": [7.0, 12.0], "b": [1.5, 2.0]},
    ),
    "not a boolean": (
        "a,b\n0,1.5\n1,2\n",
        Reading(types={"a": "number"}),
        {"a": [0.0, 1.0], "b": [1.5, 2.0]},
    ),
    "dates": (
        "a,b\n01/02/2020,1.5\n03/04/2021,2\n",
        Reading(dates={"a": "%d/%m/%Y"}),
        {"a": [D("2020-02-01"), D("2021-04-03")], "b": [1.5, 2.0]},
    ),
    "dates as digits": (
        "a,b\n20200201,1.5\n20210403,2\n",
        Reading(dates={"a": "%Y%m%d"}),
        {"a": [D("2020-02-01"), D("2021-04-03")], "b": [1.5, 2.0]},
    ),
    "booleans": (
        "a,b\ngut,1.5\nschlecht,2\n",
        Reading(booleans={"a": ("schlecht", "gut")}),
        {"a": [True, False], "b": [1.5, 2.0]},
    ),
    "missing everywhere": (
        "a,b\n-1,1.5\n2,-1.0\n3,5\n",
        Reading(missing=(-1,)),
        {"a": [None, 2.0, 3.0], "b": [1.5, None, 5.0]},
    ),
    "missing in a column": (
        "a,b\nNA,x\n2,NA\n3,y\n",
        Reading(missing={"b": ()}),
        {"a": [None, 2.0, 3.0], "b": ["x", "NA", "y"]},
    ),
    "missing elsewhere": (
        "a,b\nNA,-\n2,x\n3,NA\n",
        Reading(missing={"*": ("-",), "a": ("NA",)}),
        {"a": [None, 2.0, 3.0], "b": [None, "x", "NA"]},
    ),
}


@pytest.mark.parametrize("name", DECLARED)
def test_what_is_declared_goes_before_what_is_sniffed(read, name):
    content, reading, wanted = DECLARED[name]
    frame = read(content, reading)
    assert values(frame) == wanted
    assert not frame.doubts


WRONG = {
    "number": (
        Reading(types={"b": "number"}),
        r"column b holds 'x' \(row 1\), 'y' \(row 2\), not a number; correct the file",
    ),
    "date": (
        Reading(dates={"b": "%d.%m.%Y"}),
        "column b holds 'x' .*, not a date of the form %d.%m.%Y",
    ),
    "format": (Reading(dates={"b": "%Q"}), "reading.dates gives column b the format '%Q'"),
    "date without a format": (
        Reading(types={"b": "date"}),
        "column b is declared as a date, but its format is unclear",
    ),
    "boolean": (
        Reading(types={"a": "boolean"}),
        r"column a is declared as boolean, but holds '1' \(row 1\), '2' \(row 2\); name the fields",
    ),
    "pair": (
        Reading(booleans={"b": ("x", "z")}),
        r"column b holds 'y' \(row 2\), neither 'x' nor 'z'",
    ),
    "separator": (Reading(separator=", "), "reading.separator=', ' .* is not one character"),
    "encoding": (
        Reading(encoding="utf8000"),
        "reading.encoding=utf8000 is unknown; give for example",
    ),
    "other encoding": (
        Reading(encoding="utf-32"),
        "not in the encoding utf-32: the byte .* on line 1 has no meaning in it",
    ),
    "signs": (
        Reading(decimal=",", thousands=","),
        "reading.decimal and reading.thousands are both ','",
    ),
    "names": (Reading(names=("a",)), "reading.names gives 1 names, but .* has 2 columns"),
    "column": (
        Reading(missing={"c": (1,)}),
        "reading.missing names the column 'c', which the table does not have",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_declaration_gets_one_sentence(read, name):
    reading, says = WRONG[name]
    with pytest.raises(DataError, match=says) as caught:
        read("a,b\n1,x\n2,y\n", reading)
    one_sentence(str(caught.value))
