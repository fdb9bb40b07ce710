"""A whole table and its report, made once."""

import json

import pytest

from tests.unit.summary.builder import CRESSWELL, full_table
from tests.unit.summary.report.report_data import page, parse
from trustbench.summary.render import render
from trustbench.summary.table.table import summarize


@pytest.fixture(scope="session")
def results():
    return summarize(full_table(), CRESSWELL)


@pytest.fixture(scope="session")
def built():
    return page()


@pytest.fixture(scope="session")
def tree(built):
    return parse(built[0])


@pytest.fixture(scope="session")
def contract(built):
    return json.loads(render(built[1], "json"))
