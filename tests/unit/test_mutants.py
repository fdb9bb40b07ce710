"""The page of mutants is what its script writes, and a mutant is planted where the script says."""

import importlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
mutants = importlib.import_module("mutants")
changes = importlib.import_module("mutant_changes")
trials = importlib.import_module("mutant_trials")

MODULE = "trustbench/summary/stats/multiplicity.py"
TEXT = (mutants.ROOT / MODULE).read_text()


def test_the_page_is_what_the_script_writes():
    assert mutants.PAGE.read_text() == mutants.page(), "run scripts/mutants.py --page"


def test_core_modules_and_their_tests_exist_and_results_are_theirs():
    known = mutants.settings()
    for module, of in known.items():
        assert all((mutants.ROOT / name).is_file() for name in (module, *of["tests"]))
        reasons, found = of.get("survivors", {}), mutants.results().get(module)
        assert found is None or set(reasons) <= set(found["survivors"]), "a reason of no survivor"
    assert set(mutants.results()) <= set(known)


def test_a_planted_text_is_loaded_in_place_of_the_file():
    name = "trustbench.summary.stats.multiplicity"
    planted = trials.Planted(MODULE, TEXT.replace("1.0)", "2.0)"))
    assert planted.find_spec("trustbench.summary.stats.effects") is None
    spec = planted.find_spec(name)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    assert loaded.holm([0.9, 0.8]) == [1.6, 1.6]
    assert importlib.import_module(name).holm([0.9, 0.8]) == [1.0, 1.0]
    assert (mutants.ROOT / MODULE).read_text() == TEXT


SOURCE = """
LIMIT = 3
def outer(x):
    def inner(y):
        return y + 1
    return inner(x) * LIMIT
class Pair:
    factor = 2
    def product(self, x):
        return (
            self.factor
            * x
        )
"""


@pytest.mark.parametrize(
    ("was", "now", "where"),
    [
        ("y + 1", "y - 1", ["outer"]),
        ("* LIMIT", "/ LIMIT", ["outer"]),
        ("* x", "/ x", ["Pair.product"]),
        ("LIMIT = 3", "LIMIT = 4", ["<module>"]),
        ("factor = 2", "factor = 3", ["<module>"]),
    ],
)
def test_a_change_is_planted_into_a_function_or_needs_a_new_import(was, now, where):
    old, new = (compile(text, "m", "exec") for text in (SOURCE, SOURCE.replace(was, now)))
    found = list(trials.differences(old, new))
    assert [a.co_qualname for a, _ in found] == where
    space = {}
    exec(old, space)
    functions = {f.__qualname__: f for f in (space["outer"], space["Pair"].product)}
    for a, b in found:
        if a is not old:
            functions[a.co_qualname].__code__ = b
    changed = {"y + 1": (3, 6), "* LIMIT": (1, 6), "* x": (9, 2 / 3)}.get(was, (9, 6))
    assert (space["outer"](2), space["Pair"]().product(3)) == changed


def test_a_mutant_belongs_to_the_whole_statement_that_changes():
    places = changes.Places(SOURCE)
    found = places.mutant(SOURCE.replace("* x", "/ x"))
    assert found.key == "Pair.product: * x -> / x"
    assert found.lines == {10, 11, 12, 13}
    assert places.mutant(SOURCE.replace("LIMIT = 3", "LIMIT = 4")).lines == {2}
    assert places.mutant(SOURCE.replace("outer(x)", "outer(x, z=1)")).lines == {3}
    assert places.mutant(SOURCE) is None
