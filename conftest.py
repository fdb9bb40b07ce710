"""Examples in docstrings run in a folder of their own, where one sweep serves several of them."""

import importlib
from pathlib import Path

import pytest
from _pytest.doctest import DoctestModule

ROOT = Path(__file__).parent


def pytest_collectstart(collector):
    """Imports a module of the package as its users do, before its examples are collected.

    Pytest would load it by its path, and a package that imports its own modules would then keep
    functions of one module while `sys.modules` holds another.
    """
    if isinstance(collector, DoctestModule) and collector.path.is_relative_to(ROOT / "trustbench"):
        names = collector.path.relative_to(ROOT).with_suffix("").parts
        importlib.import_module(".".join(n for n in names if n != "__init__"))


@pytest.fixture(scope="session")
def _examples(tmp_path_factory):
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(autouse=True)
def _away_from_the_repository(request, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("_examples"))
        monkeypatch.delenv("TRUSTBENCH_OUTPUTS", raising=False)
