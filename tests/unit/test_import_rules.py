"""What import-linter's contracts in pyproject.toml cannot say without a list to keep by hand."""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
KINDS = {
    "dataset": "datasets",
    "model": "models",
    "intervention": "interventions",
    "evaluator": "evaluators",
}


def targets(conf):
    """The module of every plugin that a YAML file names."""
    for kind in KINDS:
        for path in sorted((conf / kind).glob("*.yaml")):
            node = yaml.safe_load(path.read_text(encoding="utf-8"))
            for target in (v for v in found(node) if v.startswith("trustbench.")):
                yield target.rpartition(".")[0]


def found(node):
    """Every `_target_` in a node."""
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for inner in node.values():
            yield from found(inner)


@pytest.fixture(scope="module")
def plugins():
    """Modules that YAML files name; every other module of their folders is what they share."""
    return set(targets(ROOT / "conf"))


def test_plugins_are_found_in_all_four_folders(plugins):
    assert {p.split(".")[1] for p in plugins} == set(KINDS.values())


def test_import_rules_see_every_folder():
    folders = {p.parent for p in (ROOT / "trustbench").rglob("*.py")}
    unseen = [str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").exists()]
    assert unseen == [], "import-linter passes over a folder without __init__.py"


def violations(graph, plugins):
    return [
        f"{module} imports {plugin}"
        for plugin in sorted(plugins & graph.modules)
        for module in sorted(graph.find_modules_that_directly_import(plugin))
        if module.startswith("trustbench.")
    ]


def test_nothing_imports_a_plugin(plugins):
    """Neither another plugin, nor anything else: plugins are reached through their YAML."""
    graph = grimp.build_graph("trustbench", cache_dir=None)
    assert violations(graph, plugins) == []


def test_an_import_of_a_plugin_is_noticed(plugins):
    graph = grimp.build_graph("trustbench", cache_dir=None)
    one, other = sorted(plugins & graph.modules)[:2]
    graph.add_import(importer=one, imported=other)
    assert violations(graph, plugins) == [f"{one} imports {other}"]


def cycle(graph):
    """One cycle of imports, as the modules on the way round; empty if there is none."""
    # The package itself only names what it exports, for type checkers: it imports nothing.
    modules = graph.modules - {"trustbench"}
    imports = {m: graph.find_modules_directly_imported_by(m) & modules for m in modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.fixture(scope="module")
def everything():
    """All imports, those for type checkers alone included."""
    return grimp.build_graph("trustbench", cache_dir=None, exclude_type_checking_imports=False)


def test_no_module_imports_itself_by_a_detour(everything):
    assert cycle(everything) == []


def test_a_cycle_for_type_checkers_alone_is_noticed(everything):
    one, other = "trustbench.store.schema", "trustbench.contracts.measurement"
    assert other in everything.find_modules_directly_imported_by(one)  # below TYPE_CHECKING
    everything.add_import(importer=other, imported=one)
    try:
        assert set(cycle(everything)) == {one, other}
    finally:
        everything.remove_import(importer=other, imported=one)


def test_every_public_class_has_a_name_of_its_own():
    """A name that stands for two things is looked up twice; private classes do not leave a file."""
    found = defaultdict(list)
    for path in sorted((ROOT / "trustbench").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_every_function_fits_a_screen():
    """50 lines after the signature and the docstring."""
    found = {}
    for path in [*(ROOT / "trustbench").rglob("*.py"), *(ROOT / "hydra_plugins").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                first = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0]
                found[f"{path.relative_to(ROOT)} {node.name}"] = node.end_lineno - first.lineno + 1
    assert len(found) > 1000
    assert {name: lines for name, lines in found.items() if lines > 50} == {}
