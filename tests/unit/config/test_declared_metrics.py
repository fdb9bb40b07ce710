"""Declarations are read from source: literally, and without running it."""

import subprocess
import sys

import pytest

from trustbench.config.compose import conf_dir, conf_dirs
from trustbench.config.declared_metrics import declared_metrics, metrics_in
from trustbench.contracts import PERMUTED, Metric, fraction

SOURCE = """
raise SystemExit("this module must not run")
from trustbench.contracts import PERMUTED, Evaluator, Metric, fraction as share

class Mine(Evaluator):
    aspect = None
    metrics = (
        Metric("size_<score>", "How large.", "labels", better="lower", lower=-1.0, upper="C"),
        share("gap", "How un" "equal.", better="lower", null=PERMUTED),
    )

class Computed(Evaluator):
    metrics = tuple(Metric(n, "It.", "x", "lower") for n in "ab")

class Inherited(Mine):
    pass

class Wrong(Evaluator):
    metrics = (Metric("a", colour="red"),)
"""
MINE = (
    Metric("size_<score>", "How large.", "labels", better="lower", lower=-1.0, upper="C"),
    fraction("gap", "How unequal.", better="lower", null=PERMUTED),
)


def test_a_literal_declaration_is_what_the_class_would_have():
    assert metrics_in(SOURCE, "Mine") == MINE


@pytest.mark.parametrize("name", ["Computed", "Inherited", "Wrong", "Absent"])
def test_what_needs_running_is_not_read(name):
    assert metrics_in(SOURCE, name) is None


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """An own folder of options, with an evaluator in a package that must not run."""
    package, options = tmp_path / "own_package", tmp_path / "conf" / "evaluator"
    package.mkdir()
    options.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('a package must not run')")
    (package / "mine.py").write_text(SOURCE)
    (options / "mine.yaml").write_text("mine:\n  _target_: own_package.mine.Mine\n")
    (options / "gone.yaml").write_text("gone:\n  _target_: not_installed.gone.Gone\n")
    for k, broken in enumerate(("", "a: [", "broken3: {_target_: 3}", "other: {}")):
        (options / f"broken{k}.yaml").write_text(broken)
    (options / "python.yaml").write_text("python:\n  _target_: broken_python.Mine\n")
    (tmp_path / "broken_python.py").write_text("class Mine(:")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "conf"


def test_an_evaluator_of_ones_own_is_read_and_one_that_is_not_installed_is_unknown(mine):
    found = declared_metrics([mine])
    assert found.pop("mine") == MINE
    assert list(found) == ["broken0", "broken1", "broken2", "broken3", "gone", "python"]
    assert set(found.values()) == {None}
    assert "own_package" not in sys.modules


def test_reading_all_declarations_imports_no_evaluator_and_no_torch():
    code = (
        "import sys; from trustbench.config.declared_metrics import declared_metrics as d\n"
        "from trustbench.config.compose import conf_dirs\n"
        "found = d(conf_dirs(None)); assert None not in found.values() and len(found) > 25\n"
        "print([m for m in sys.modules if m == 'torch' or m.startswith('trustbench.evaluators')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_folder_of_options_is_the_projects_own():
    assert set(declared_metrics([conf_dir()])) <= set(declared_metrics(conf_dirs(None)))
