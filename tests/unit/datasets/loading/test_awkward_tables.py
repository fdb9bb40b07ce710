"""Awkward tables are read to the right values, without a declaration."""

import datetime as dt
import unicodedata

import pandas as pd
import pytest

from tests.unit.datasets.loading.awkward import reader, values

D = pd.Timestamp


@pytest.fixture
def read(tmp_path):
    return reader(tmp_path)


READ = {
    # --- separators -----------------------------------------------------------------------------
    "semicolon and decimal comma": ("a;b\n1,5;x\n-2,25;y\n", {"a": [1.5, -2.25], "b": ["x", "y"]}),
    "no header and decimal comma": (
        "1,5;2,3\n1,6;2,4\n",
        {"column_1": [1.5, 1.6], "column_2": [2.3, 2.4]},
    ),
    "tab": ("a\tb\n1\tx, y\n2\tz\n", {"a": [1.0, 2.0], "b": ["x, y", "z"]}),
    "vertical bar": ("a|b\n1|x\n2|y;z\n", {"a": [1.0, 2.0], "b": ["x", "y;z"]}),
    "aligned with spaces": (
        "name   weight  size\n  ann   60.5    1\n bert 101.0   22 \n",
        {"name": ["ann", "bert"], "weight": [60.5, 101.0], "size": [1.0, 22.0]},
    ),
    "Excel's sep= line": ("sep=;\na;b\n1;x\n2;y\n", {"a": [1.0, 2.0], "b": ["x", "y"]}),
    "one column": ("a\n1.5\n2\n", {"a": [1.5, 2.0]}),
    "a separator at each line's end": ("a,b,\n1,x,\n2,y,\n", {"a": [1.0, 2.0], "b": ["x", "y"]}),
    "the same, but not in the header": ("a,b\n1,x,\n2,y,\n", {"a": [1.0, 2.0], "b": ["x", "y"]}),
    # --- lines and quotes -----------------------------------------------------------------------
    "CRLF": ("a,b\r\n1,x\r\n2,y\r\n", {"a": [1.0, 2.0], "b": ["x", "y"]}),
    "CR": ("a,b\r1,x\r2,y\r", {"a": [1.0, 2.0], "b": ["x", "y"]}),
    "no end of the last line": ("a,b\n1,x\n2,y", {"a": [1.0, 2.0], "b": ["x", "y"]}),
    "blank lines": ("\na,b\n\n1,x\n\n\n2,y\n\n", {"a": [1.0, 2.0], "b": ["x", "y"]}),
    "rows without a value": ("a,b\n1,x\n,\n2,y\n,\n", {"a": [1.0, 2.0], "b": ["x", "y"]}),
    "a line end within quotes": (
        'a,b\n1,"x\ny"\n2,"p ""q"", r"\n',
        {"a": [1.0, 2.0], "b": ["x\ny", 'p "q", r']},
    ),
    "a line end within a quoted name": (
        '"a\nb",c\n1,x\n2,y\n',
        {"a b": [1.0, 2.0], "c": ["x", "y"]},
    ),
    "spaces before quotes": ('a, b\n1, "x, y"\n2, "z"\n', {"a": [1.0, 2.0], "b": ["x, y", "z"]}),
    "single quotes": ("'a','b'\n'1','x, y'\n'2','z'\n", {"a": [1.0, 2.0], "b": ["x, y", "z"]}),
    "escaped quotes": ('a,b\n1,"x \\"y\\""\n2,"z"\n', {"a": [1.0, 2.0], "b": ['x "y"', "z"]}),
    "inches": ('a,b\n1,5" pipe\n2,7" pipe\n', {"a": [1.0, 2.0], "b": ['5" pipe', '7" pipe']}),
    # --- encodings ------------------------------------------------------------------------------
    "UTF-8 with a mark": (b"\xef\xbb\xbfa,b\n1,x\n2,y\n", {"a": [1.0, 2.0], "b": ["x", "y"]}),
    "UTF-16": ("a,b\n1,ß\n2,中\n".encode("utf-16"), {"a": [1.0, 2.0], "b": ["ß", "中"]}),
    "UTF-16 without a mark": (
        "a,b\n1,x\n2,é\n".encode("utf-16-be"),
        {"a": [1.0, 2.0], "b": ["x", "é"]},
    ),
    "Latin-1": ("a,b\n1,Müller\n2,y\n".encode("latin-1"), {"a": [1.0, 2.0], "b": ["Müller", "y"]}),
    "Windows-1252": ("a,b\n1,€\n2,„y“\n".encode("cp1252"), {"a": [1.0, 2.0], "b": ["€", "„y“"]}),
    "other scripts": ("a,имя\n1,Анна\n2,🙂\n", {"a": [1.0, 2.0], "имя": ["Анна", "🙂"]}),
    # --- headers and indices --------------------------------------------------------------------
    "no header": (
        "39, State-gov\n50, Private\n",
        {"column_1": [39.0, 50.0], "column_2": ["State-gov", "Private"]},
    ),
    "no header, first field missing": (
        "?,x,1\n3,y,2\n4,z,3\n",
        {"column_1": [None, 3.0, 4.0], "column_2": ["x", "y", "z"], "column_3": [1.0, 2.0, 3.0]},
    ),
    "no header and words only": (
        "a,b\na,c\nd,b\n",
        {"column_1": ["a", "a", "d"], "column_2": ["b", "c", "b"]},
    ),
    "years as names": (
        "name,2019,2020\nx,1.5,2\ny,3,4\n",
        {"name": ["x", "y"], "2019": [1.5, 3.0], "2020": [2.0, 4.0]},
    ),
    "numbered columns": (",0,1\nx,5,7\ny,6,8\n", {"0": [5.0, 6.0], "1": [7.0, 8.0]}),
    "pandas' index": (",a\n0,x\n1,y\n5,z\n", {"a": ["x", "y", "z"]}),
    "R's row names": ('"a" "b"\n"r1" 1 "x"\n"r2" 2 "y"\n', {"a": [1.0, 2.0], "b": ["x", "y"]}),
    "a column without a name that is not an index": (
        "a,,b\n1,u,x\n2,u,y\n",
        {"a": [1.0, 2.0], "column_2": ["u", "u"], "b": ["x", "y"]},
    ),
    "names with spaces": (" a , b  c \n1,x\n2,y\n", {"a": [1.0, 2.0], "b c": ["x", "y"]}),
    "decomposed unicode names": (
        f"{unicodedata.normalize('NFD', 'größe')},b\n1,x\n2,y\n",
        {"größe": [1.0, 2.0], "b": ["x", "y"]},
    ),
    "a name twice with equal values": ("a,b,a\n1,x,1\n2,y,2\n", {"a": [1.0, 2.0], "b": ["x", "y"]}),
    # --- numbers --------------------------------------------------------------------------------
    "thousands": (
        'a,b\n"1,234",x\n"12,345,678.5",y\n17,z\n',
        {"a": [1234.0, 12345678.5, 17.0], "b": ["x", "y", "z"]},
    ),
    "thousands with points": (
        "a;b\n1.234,5;1.000\n17,25;2.000\n",
        {"a": [1234.5, 17.25], "b": [1000.0, 2000.0]},
    ),
    "thousands with apostrophes": (
        "a;b\n1'234.5;x\n12\u2019000;y\n",
        {"a": [1234.5, 12000.0], "b": ["x", "y"]},
    ),
    "thousands with spaces": (
        "a;b\n1 234,5;x\n12\u00a0000;y\n",
        {"a": [1234.5, 12000.0], "b": ["x", "y"]},
    ),
    "fractions that begin with zero": (
        "a;b\n0,123;x\n1,234;y\n",
        {"a": [0.123, 1.234], "b": ["x", "y"]},
    ),
    "minus signs and powers": (
        "a,b\n\u22121.5,1e-05\n+2,2.5E+3\n",
        {"a": [-1.5, 2.0], "b": [1e-5, 2500.0]},
    ),
    "an outlier": ("a,b\n1,x\n1000000000000,y\n", {"a": [1.0, 1e12], "b": ["x", "y"]}),
    "leading zeros": ("zip,b\n01067,1.5\n80331,2\n", {"zip": ["01067", "80331"], "b": [1.5, 2.0]}),
    "007": ("a,b\n007,1.5\n12,2\n", {"a": ["007", "12"], "b": [1.5, 2.0]}),
    "ids of 18 digits": (
        "id,b\n123456789012345678,1.5\n123456789012345679,2\n",
        {"id": ["123456789012345678", "123456789012345679"], "b": [1.5, 2.0]},
    ),
    "codes like powers": ("a,b\n1E5,1.5\n12E3,2\n", {"a": ["1E5", "12E3"], "b": [1.5, 2.0]}),
    "telephone numbers": (
        "a,b\n+491234567,1.5\n+491234568,2\n",
        {"a": ["+491234567", "+491234568"], "b": [1.5, 2.0]},
    ),
    "addresses and versions": (
        "a,b\n1.2.3,10.0.0.1\n1.2.4,10.0.0.2\n",
        {"a": ["1.2.3", "1.2.4"], "b": ["10.0.0.1", "10.0.0.2"]},
    ),
    # --- booleans -------------------------------------------------------------------------------
    "yes and no": ("a,b\nYes,1\nno,2.5\n", {"a": [True, False], "b": [1.0, 2.5]}),
    "J and N": ("a,b\nJ,1\nN,2.5\n", {"a": [True, False], "b": [1.0, 2.5]}),
    "TRUE, FALSE and NA": (
        "a,b\nTRUE,1\nNA,2.5\nFALSE,3\n",
        {"a": [True, None, False], "b": [1.0, 2.5, 3.0]},
    ),
    "0 and 1": ("a,b\n0,1.5\n1,2\n1,2\n", {"a": [False, True, True], "b": [1.5, 2.0, 2.0]}),
    "0.0 and 1.0": ("a,b\n0.0,1.5\n1.0,2\n,3\n", {"a": [False, True, None], "b": [1.5, 2.0, 3.0]}),
    # --- dates ----------------------------------------------------------------------------------
    "ISO dates": (
        "a,b\n2020-02-29,1\n9999-12-31,2.5\n",
        {"a": [D("2020-02-29"), dt.datetime(9999, 12, 31)], "b": [1.0, 2.5]},
    ),
    "times with zones": (
        "a,b\n2020-02-29T12:30:00Z,1\n2020-03-01 00:00:00+02:00,2.5\n",
        {"a": [D("2020-02-29 12:30"), D("2020-02-29 22:00")], "b": [1.0, 2.5]},
    ),
    "German dates": (
        "a;b\n29.02.2020;1\n1.3.2021;2,5\n",
        {"a": [D("2020-02-29"), D("2021-03-01")], "b": [1.0, 2.5]},
    ),
    "American dates": (
        "a,b\n02/29/2020,1\n03/01/2021,2.5\n",
        {"a": [D("2020-02-29"), D("2021-03-01")], "b": [1.0, 2.5]},
    ),
    "British dates": (
        "a,b\n29/02/2020,1\n01/03/2021,2.5\n",
        {"a": [D("2020-02-29"), D("2021-03-01")], "b": [1.0, 2.5]},
    ),
    "months in words": (
        "a,b\n29 Feb 2020,1\n1 Mar 2021,2.5\n",
        {"a": [D("2020-02-29"), D("2021-03-01")], "b": [1.0, 2.5]},
    ),
    # --- missing values -------------------------------------------------------------------------
    "many words for missing": (
        'a,b\n1,x\nNA,?\n?,y\n#N/A,NaN\n," "\n2.5,z\n',
        {"a": [1.0, None, None, None, 2.5], "b": ["x", None, "y", None, "z"]},
    ),
    "Namibia": (
        "c,b\nNA,1\nDE,2.5\nFR,3\nUS,4\nGB,5\nAO,6\n",
        {"c": ["NA", "DE", "FR", "US", "GB", "AO"], "b": [1.0, 2.5, 3.0, 4.0, 5.0, 6.0]},
    ),
    "None as a level": ("a,b\nNone,1\ngarage,2.5\n", {"a": ["None", "garage"], "b": [1.0, 2.5]}),
    "an empty column": (
        "a,b,c\n1,,x\n2,,y\n",
        {"a": [1.0, 2.0], "b": [None, None], "c": ["x", "y"]},
    ),
}


@pytest.mark.parametrize("name", READ)
def test_an_awkward_table_is_read_to_the_right_values(read, name):
    content, wanted = READ[name]
    frame = read(content)
    assert values(frame) == wanted
    assert not frame.doubts
