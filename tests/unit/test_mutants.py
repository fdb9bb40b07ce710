"""The page of mutants is what its script writes, and the script plants what it says."""

import importlib.util
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
mutants = importlib.import_module("mutants")


def test_the_page_is_what_the_script_writes():
    assert mutants.PAGE.read_text() == mutants.page(), "run scripts/mutants.py --page"


def test_core_modules_and_their_tests_exist_and_results_are_theirs():
    for module, tests in mutants.CORE.items():
        assert (mutants.ROOT / module).is_file()
        assert all((mutants.ROOT / "tests" / "unit" / name).exists() for name in tests)
    assert set(json.loads(mutants.RESULTS.read_text())) <= set(mutants.CORE)


def test_a_planted_text_is_loaded_in_place_of_the_file():
    name = "trustbench.summary.stats.multiplicity"
    module = "trustbench/summary/stats/multiplicity.py"
    text = (mutants.ROOT / module).read_text()
    planted = mutants.Planted(module, text.replace("1.0)", "2.0)"))
    assert planted.find_spec("trustbench.summary.stats.effects") is None
    spec = planted.find_spec(name)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    assert loaded.holm([0.9, 0.8]) == [1.6, 1.6]
    assert importlib.import_module(name).holm([0.9, 0.8]) == [1.0, 1.0]
    assert (mutants.ROOT / module).read_text() == text
