"""Files of anybody's are read, or refused in a sentence: within seconds, and in little memory."""

import resource
import string
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trustbench.config.compose import conf_dir
from trustbench.config.settings_file import with_file
from trustbench.datasets.loading.frames.read import read_frame
from trustbench.datasets.table import TableDataset
from trustbench.errors import UserError
from trustbench.summary.decide.policy import load_policy
from trustbench.summary.table.registry import load_table

pytestmark = pytest.mark.science
MOST_S, MOST_GB = 5.0, 1.0
SETTINGS = settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PIECES = st.sampled_from(
    ["&a ", "*a", "<<: *a\n", "- ", "  ", ": ", "\n", "{", "}", "[", "]", "~", "null", "!!int x",
     "!!binary aa==", "1e999", ".nan", "2001-01-01", "-1", "9" * 30, "yes", "'", '"', "#", "|\n"]
) | st.text(string.printable, max_size=5)  # fmt: skip


@st.composite
def edited(draw, texts):
    """A file that is right, with a few places cut out, doubled or overwritten."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        kind = draw(st.sampled_from(["cut", "double", "overwrite"]))
        middle = {"cut": "", "double": 2 * text[start:end]}.get(kind)
        text = text[:start] + (draw(PIECES) if middle is None else middle) + text[end:]
    return text


def options(kind):
    return [p.read_text(encoding="utf-8") for p in sorted((conf_dir() / kind).glob("*.yaml"))]


POLICIES, TABLES = options("policy"), options("table")
SCHEMA = "target: y\nsensitive: [g]\ncolumns:\n  x: {kind: numeric}\ndrop: [z]\nfavourable: 'yes'\n"
CSV = "x,g,y\n1,a,no\n2,b,yes\n3.5,a,yes\n,b,no\n"


def in_bounds(read, path):
    """What a reader says; anything but an answer or a UserError of short lines is a failure."""
    began, said = time.process_time(), ""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        read(path)
    except UserError as told:
        said = str(told)
    assert time.process_time() - began < MOST_S
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MOST_GB * 2**20, "in kilobytes"
    assert all(len(line) < 2000 for line in said.splitlines())
    return said


@SETTINGS
@given(edited(POLICIES) | st.text(max_size=40))
def test_policies(tmp_path, text):
    path = tmp_path / "p.yaml"
    path.write_bytes(text.encode())
    in_bounds(load_policy, path)


@SETTINGS
@given(edited(TABLES) | st.text(max_size=40))
def test_tables(tmp_path, text):
    path = tmp_path / "t.yaml"
    path.write_bytes(text.encode())
    in_bounds(load_table, path)


@SETTINGS
@given(edited([SCHEMA]) | st.text(max_size=40))
def test_what_a_schema_says_of_a_table(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_bytes(text.encode())
    given = {TableDataset.settings_file: str(path)}
    in_bounds(lambda _: with_file(TableDataset, given, "dataset"), path)


@SETTINGS
@given(edited([CSV, CSV.replace(",", ";"), CSV * 50]).map(str.encode) | st.binary(max_size=200))
def test_data_files(tmp_path, data):
    path = tmp_path / "rows.csv"
    path.write_bytes(data)
    in_bounds(read_frame, path)


@pytest.mark.parametrize("rows", ["", "1,2\n", "\n".join(["1," * 30_000] * 20)])
def test_a_line_of_300_000_columns_is_refused_within_seconds(tmp_path, rows):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{k}" for k in range(300_000)) + f"\n{rows}")
    assert "300,000 fields" in in_bounds(read_frame, path)
