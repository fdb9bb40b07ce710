"""The documents are true: recipes run, commands parse, targets exist."""

import doctest
import importlib.util
import inspect
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.conftest import make_problem, make_system
from trustbench.commands import cli
from trustbench.commands.catalogue import module_of
from trustbench.commands.parsing import Parser
from trustbench.config.compose import hydra_run
from trustbench.config.plugins import build, discover
from trustbench.contracts import Batch, Evaluator, Intervention
from trustbench.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "outputs/README.md", "scripts/README.md", *PAGES)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
NAMED = re.compile(r"^`(\S+)`:\n\n```(?:python|yaml)\n(.*?)^```", re.M | re.S)
CLUSTER = {"ray": "json", "submitit": "json"}
# tests of their own run these for real
CARRIED_OUT = ("docs/own-data.md", "docs/own-model.md", "docs/tutorial.md")
RECIPES = ("CONTRIBUTING.md", "docs/own-plugins.md", "docs/tables.md")
PLUGINS = {"evaluator": "worst_group_brier", "intervention": "confidence_penalty"}


def text(document):
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document, *languages):
    return [body for language, body in FENCE.findall(text(document)) if language in languages]


def commands(document):
    """Every `trustbench ...` line of a shell block, as the words after `trustbench`."""
    lines = "".join(blocks(document, "bash", "sh", "console")).replace("\\\n", " ").splitlines()
    for line in lines:
        words = shlex.split(line, comments=True)
        if "trustbench" in words:
            yield words[words.index("trustbench") + 1 :]


def run_lines():
    """What each experiment's `# run:` line says, by the experiment's name."""
    for path in sorted((ROOT / "conf" / "experiment").glob("*.yaml")):
        found = re.search(r"^# run: trustbench (.+)$", path.read_text(encoding="utf-8"), re.M)
        yield path.stem, shlex.split(found.group(1)) if found else []


# Each once, and none of the experiments' own `# run:` lines: composing all arms of an experiment
# takes seconds, and tests/contract/test_configs.py does so.
ALL_COMMANDS = list(
    dict.fromkeys(
        tuple(words)
        for d in DOCUMENTS
        if d not in CARRIED_OUT
        for words in commands(d)
        if words not in dict(run_lines()).values()
    )
)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """The recipes' files, where a stranger would put them; importable meanwhile."""
    folder = tmp_path_factory.mktemp("stranger")
    for name, body in NAMED.findall("\n".join(map(text, RECIPES))):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")
    sys.path.insert(0, str(folder))
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        for name in [n for n in sys.modules if n.split(".")[0] == "my_plugins"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def plugins(recipe):
    """The recipes' plugins, built from their YAML as a run builds them."""
    built = {}
    for kind, name in PLUGINS.items():
        path = discover(kind, [recipe / "my_conf"])[name]
        node = yaml.safe_load(path.read_text())
        assert list(node) == [name], "one top key, that of the file"
        built[kind] = build(kind, name, node[name], f"{kind}.{name}", modules=["my_plugins"])
    return built


# --- the recipes -----------------------------------------------------------------------------


def recipe_tests():
    for path, body in NAMED.findall(text("CONTRIBUTING.md")):
        if path.startswith("tests/"):
            for name in re.findall(r"^def (test_\w+)", body, re.M):
                yield pytest.param(path, name, id=name)


@pytest.mark.parametrize(("path", "name"), list(recipe_tests()))
def test_the_recipes_own_tests_pass(recipe, system, path, name):
    namespace = {"__name__": "recipe"}
    exec(compile((recipe / path).read_text(), path, "exec"), namespace)
    wanted = inspect.signature(namespace[name]).parameters
    namespace[name](**{k: {"system": system}[k] for k in wanted})


@pytest.mark.parametrize("name", PLUGINS.values())
def test_the_recipes_doctests_pass(recipe, name):
    module = importlib.import_module(f"my_plugins.{name}")
    assert doctest.testmod(module).failed == 0


def test_the_recipes_evaluator_keeps_its_contract(plugins, system):
    evaluator = plugins["evaluator"]
    assert isinstance(evaluator, Evaluator)
    assert evaluator.supports(system) is None
    first = evaluator.measure(system).measurements[0]
    assert first.name == "brier"
    assert ((first.values >= first.lower) & (first.values <= first.upper)).all()
    again = evaluator.measure(system).measurements[0]
    assert (first.values == again.values).all()


def test_the_recipes_metric_is_listed_with_its_sentence(recipe, capsys):
    assert cli.main(["list", "metrics", "--config-dir", str(recipe / "my_conf")]) == 0
    lines = [x for x in capsys.readouterr().out.splitlines() if "worst_group_brier/" in x]
    (line,) = lines
    assert "worst_group_brier/brier" in line
    assert "How far predicted probabilities are" in line
    assert line.endswith("Unit: Brier score; lower is better.")


def test_the_recipes_evaluator_tells_a_trained_system_from_an_untrained_one(plugins):
    problem = make_problem()
    trained, untrained = make_system(problem), make_system(problem, steps=0)
    measure = plugins["evaluator"].measure
    better, worse = (measure(s).measurements[0].values.mean() for s in (trained, untrained))
    assert better < worse


def test_the_recipes_intervention_keeps_its_contract(plugins, problem):
    intervention = plugins["intervention"]
    assert isinstance(intervention, Intervention)
    assert intervention.retrains
    logits = torch.randn(2, 3, 1, 4, requires_grad=True)
    rows = torch.zeros(2, 3, dtype=torch.int64)
    batch = Batch(torch.zeros(2, 3, 1, 6), rows, rows, torch.ones(2, 3), rows, ())
    loss = intervention.objective(torch.zeros(2, 3), logits, batch)
    loss.sum().backward()
    # Descent on the penalty raises the entropy of the outputs.
    entropy = torch.distributions.Categorical(logits=logits).entropy().sum()
    after = torch.distributions.Categorical(logits=logits - 0.1 * logits.grad).entropy().sum()
    assert after > entropy


def test_the_recipes_are_refused_until_their_module_is_allowed(recipe):
    path = discover("evaluator", [recipe / "my_conf"])["worst_group_brier"]
    node = yaml.safe_load(path.read_text())["worst_group_brier"]
    with pytest.raises(ConfigError, match=r"plugins=\[my_plugins\.worst_group_brier\]"):
        build("evaluator", "worst_group_brier", node, "evaluator.worst_group_brier")


def test_a_recipes_typing_error_gets_a_sentence(recipe):
    path = discover("evaluator", [recipe / "my_conf"])["worst_group_brier"]
    node = {**yaml.safe_load(path.read_text())["worst_group_brier"], "min_grup": 3}
    with pytest.raises(ConfigError, match="did you mean 'min_group'"):
        build("evaluator", "worst_group_brier", node, "evaluator.it", modules=["my_plugins"])


def test_every_file_of_the_recipes_is_used():
    """Those of the other pages are in test_plugin_recipes.py."""
    written = {name for name, _ in NAMED.findall(text("CONTRIBUTING.md"))}
    expected = {f"my_plugins/{n}.py" for n in PLUGINS.values()}
    expected |= {f"my_conf/{k}/{n}.yaml" for k, n in PLUGINS.items()}
    expected |= {f"tests/test_{n}.py" for n in PLUGINS.values()}
    assert written == expected


# --- commands --------------------------------------------------------------------------------


class Understood(Exception):
    """Raised where a command would begin to do something."""


def understood(*_args, **_kwargs):
    raise Understood


@pytest.mark.slow
@pytest.mark.parametrize("words", ALL_COMMANDS, ids=" ".join)
def test_every_command_in_the_documents_is_understood(words, recipe, monkeypatch):
    """Runs compose all their arms and build all their plugins, plans plan; the others parse."""
    command, *args = words
    assert command in cli.COMMANDS
    monkeypatch.chdir(recipe)
    # Settings of Ray and SLURM are checked where these are not installed too.
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, p=None: found(CLUSTER.get(n, n), p))
    if command == "plan":
        assert cli.main([command, *args]) == 0
    elif command != "run":
        parse = Parser.parse_args
        monkeypatch.setattr(Parser, "parse_args", lambda *a: understood(parse(*a)))
        module = module_of(command)
        with pytest.raises(Understood):
            module.main(args)
    elif "--cfg" in args:
        assert hydra_run(args, understood, understood) is None
    else:
        with pytest.raises(Understood):
            hydra_run(args, begin=understood, work=understood)


def test_the_readme_shows_commands():
    assert len(list(commands("README.md"))) >= 5
    assert len(list(commands("CONTRIBUTING.md"))) == len(PLUGINS)


def make_targets():
    return set(re.findall(r"^([a-z-]+):.*##", text("Makefile"), re.M))


def test_every_make_target_in_the_documents_exists():
    named = {t for d in DOCUMENTS for t in re.findall(r"(?:^|`)make ([a-z-]+)", text(d), re.M)}
    assert {"run", "test"} <= named
    assert named <= make_targets()


def test_every_phony_target_has_a_line_of_help():
    phony = re.search(r"^\.PHONY: ((?:.|\\\n)*?[^\\])\n", text("Makefile"), re.M).group(1)
    assert set(phony.replace("\\\n", " ").split()) == make_targets()


def test_every_experiment_says_how_to_run_it():
    lines = dict(run_lines())
    assert len(lines) >= 5
    for name, words in lines.items():
        assert words[:2] == ["run", f"+experiment={name}"], f"{name}.yaml needs a `# run:` line"


def test_every_yaml_says_what_it_is():
    for path in sorted((ROOT / "conf").glob("*/*.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert re.match(r"# \S.{10,}", first), f"{path.relative_to(ROOT)} has no comment line"


# --- the rest --------------------------------------------------------------------------------


def test_the_changelog_has_an_unreleased_section():
    sections = re.findall(r"^## \[(.+?)\]", text("CHANGELOG.md"), re.M)
    assert sections[0] == "Unreleased"


def test_the_table_of_private_reads_is_what_the_plugins_declare():
    path = ROOT / "scripts" / "privacy_table.py"
    spec = importlib.util.spec_from_file_location("privacy_table", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.filled(script.PAGE.read_text()) == script.PAGE.read_text()
