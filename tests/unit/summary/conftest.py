"""The report of a whole table, made once."""

import json

import pytest

from tests.unit.summary.report_data import page, parse
from trustbench.summary.render import render


@pytest.fixture(scope="session")
def built():
    return page()


@pytest.fixture(scope="session")
def tree(built):
    return parse(built[0])


@pytest.fixture(scope="session")
def contract(built):
    return json.loads(render(built[1], "json"))
