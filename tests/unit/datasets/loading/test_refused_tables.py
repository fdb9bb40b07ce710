"""Tables that cannot be read with certainty get one sentence that names the way out."""

import gzip
import io
import pickle
import zipfile

import pytest

from tests.unit.datasets.loading.awkward import one_sentence, reader
from trustbench.datasets.loading.frames import read_frame
from trustbench.errors import DataError


@pytest.fixture
def read(tmp_path):
    return reader(tmp_path)


ROWS = "".join(f"{k},{k}.5\n" for k in range(2, 30))
DOUBTS = {
    "mixed types": (
        f"a,b\nabout 5,1.5\n{ROWS}",
        "a",
        (
            r"numbers in 96.6% of its rows, but also "
            r"'about 5' \(row 1\); name those that mean missing with reading.missing=\{a: \[...\]\}"
        ),
    ),
    "infinity": (
        f"a,b\ninf,1.5\n{ROWS}",
        "a",
        "but also 'inf' .row 1.; name those that mean missing",
    ),
    "currency": (
        "a,b\n$1,1.5\n$20,2\n",
        "a",
        r"numbers with a unit, such as '\$1'; remove the unit",
    ),
    "percent": ("a,b\n10 %,1.5\n20 %,2\n", "a", "numbers with a unit, such as '10 %'"),
    "two decimal signs": (
        "a;b;c\n1,5;1.25;2.5\n2,5;2.25;3.5\n",
        "a",
        (
            r"column a writes numbers with decimal ',' \('1,5'\), but the rest of .* "
            r"with decimal '.'; write them alike"
        ),
    ),
    "day or month": (
        "a,b\n01/02/2020,1.5\n03/04/2021,2\n",
        "a",
        (
            r"day and month can be exchanged in every date, as in "
            r"'01/02/2020'; give their format, for example reading.dates=\{a: '%m/%d/%Y'\}"
        ),
    ),
    "two digits of a year": (
        "a,b\n01.02.20,1.5\n03.04.21,2\n",
        "a",
        "years of two digits, and so the century, are unclear",
    ),
    "a day that does not exist": (
        "a,b\n2021-02-30,1\n" + "".join(f"2021-03-{k},2\n" for k in range(10, 30)),
        "a",
        "'2021-02-30' .row 1. are not days of the calendar",
    ),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_a_doubtful_column_is_text_until_it_is_used(read, name):
    content, column, says = DOUBTS[name]
    frame = read(content)
    assert list(frame.doubts) == [column]
    assert frame.table[column].map(type).eq(str).all()
    frame.refuse_doubts(["b"])
    with pytest.raises(DataError, match=says) as caught:
        frame.refuse_doubts(["b", column])
    one_sentence(str(caught.value))


def archive(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        for name in names:
            z.writestr(name, "a,b\n1,2\n")
    return buffer.getvalue()


REFUSED = {
    "empty": ("", "is empty; give a file with a header and rows"),
    "white space": ("\n \n\t\n", "is empty"),
    "header only": ("a,b\n", "holds a header and no rows"),
    "header and blank rows": ("a,b\n,\n,\n", "holds a header and no rows"),
    "a short row": (
        "a,b,c\n1,2,3\n4,5\n6,7,8\n",
        r"line 3 of .* has 2 fields, where there are 3 columns \(separated by comma\); correct it",
    ),
    "a long row": (
        "a,b\n1,x\n2,y, z\n3,u\n",
        "line 3 of .* has 3 fields, .* put fields that hold the separator in quotes",
    ),
    "a short row after a line end in quotes": (
        'a,b\n1,"x\ny"\n2\n3,z\n',
        "line 4 of .* has 1 field,",
    ),
    "a short row among spaces": (
        "a  b  c\n1  2  3\n4  5\n6  7  8\n",
        "line 3 of .* has 2 fields.*separated by spaces",
    ),
    "an open quote": (
        'a,b\n1,"x\n2,y\n3,z\n',
        "quote that is not closed.* after line 1 .*reading.quoting=none",
    ),
    "two open quotes": (
        'a,b\n1,"x\n2,"y\n3,z\n',
        "quote that is not closed, or not doubled within a field, after line 1",
    ),
    "comma or thousands": (
        "a;b\n1,234;x\n5,678;y\n",
        (
            "'1,234' in column a of .* may have a decimal comma or a comma between thousands; "
            "say which with reading.decimal=',' or reading.thousands=','"
        ),
    ),
    "two separators": (
        "a,b;c\nx,y;z\nu,v;w\n",
        "can be separated by semicolon or comma; say which with reading.separator",
    ),
    "a header or a row": (
        "x,5\n1,6\n2,7\n",
        r"first line of .* may be a header \('x'\) or a row \('5'\); say which with reading.header",
    ),
    "numbered columns or a row": (
        "0,1\n2,3\n4,5\n",
        "may be a header that counts the columns or a row .'0'.",
    ),
    "a name twice": (
        "a,b,a\n1,x,1\n2,y,3\n",
        (
            "several columns named 'a', and they differ; rename them in "
            "the file, or give all names with reading.names"
        ),
    ),
    "xls": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        "is an Excel workbook .*save the sheet as CSV",
    ),
    "xlsx": (
        archive("[Content_Types].xml", "xl/workbook.xml"),
        (
            r"is an Excel workbook; save the sheet as "
            r"CSV \(File, Save As, CSV UTF-8\), and give that file"
        ),
    ),
    "ods": (archive("mimetype", "content.xml"), "is an OpenDocument sheet; save it as CSV"),
    "zip": (archive("t.csv"), "is a zip archive; unpack it"),
    "web page": (
        "\n<!DOCTYPE html>\n<html>404</html>",
        "is a web page, not a table; download the file itself",
    ),
    "JSON": ('[{"a": 1, "b": 2}]', "is JSON, not a table; convert it"),
    "Git LFS": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "pointer of Git LFS .*git lfs pull",
    ),
    "pickle": (
        pickle.dumps([1]),
        "is a Python pickle, which is never opened; export it as CSV or Parquet",
    ),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "is an HDF5 file; export it"),
    "binary": (b"a,b\n1,\x00\x01\x02\xff\n", "is not a text file: line 2 holds the byte 0x00"),
    "broken gzip": (
        gzip.compress(b"a,b\n1,2\n" * 99)[:-9],
        "cannot be unpacked by gzip .*cut off or damaged",
    ),
    "web page in gzip": (gzip.compress(b"<html>404</html>"), "is a web page"),
    "broken Parquet": (b"PAR1 and then nothing", "cannot be read as Parquet .*cut off or damaged"),
    "broken Arrow": (b"ARROW1\0\0 and then nothing", "cannot be read as Arrow"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_read_gets_one_sentence_with_the_way_out(read, name):
    content, says = REFUSED[name]
    with pytest.raises(DataError, match=says) as caught:
        read(content)
    one_sentence(str(caught.value))


def test_paths_that_are_not_a_file_get_a_sentence(tmp_path):
    (tmp_path / "bail.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"no file .*; did you mean 'bail.csv'\?"):
        read_frame(tmp_path / "bial.csv")
    with pytest.raises(DataError, match=r"no file .*; give the path of a table"):
        read_frame(tmp_path / "nowhere" / "bail.csv")
    with pytest.raises(DataError, match="is a folder; give one file"):
        read_frame(tmp_path)
