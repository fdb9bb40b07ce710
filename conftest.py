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


def pytest_addoption(parser):
    """CI installs what some tests need; there, a test that lacks it may not pass silently."""
    parser.addoption("--no-skips", action="store_true", help="fail if a test is skipped")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """With --no-skips, the exit code of failed tests if one was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped") and session.config.getoption("no_skips"):
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    """Says why a run without failed tests fails."""
    skipped = len(terminalreporter.stats.get("skipped", ()))
    if skipped and config.getoption("no_skips"):
        terminalreporter.write_line(f"{skipped} tests were skipped, which --no-skips forbids.")


@pytest.fixture(scope="session")
def _examples(tmp_path_factory):
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(autouse=True)
def _away_from_the_repository(request, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("_examples"))
        monkeypatch.delenv("TRUSTBENCH_OUTPUTS", raising=False)
