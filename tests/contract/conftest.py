"""Every plugin of trustbench, found by its YAML file."""

import dataclasses
import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.conftest import make_problem
from trustbench.config.compose import conf_dir
from trustbench.config.plugins import CONTRACTS, build, discover
from trustbench.contracts import Feature, Plugin

FOLDERS = {
    "dataset": "trustbench.datasets",
    "model": "trustbench.models",
    "intervention": "trustbench.interventions",
    "evaluator": "trustbench.evaluators",
}


NETS = Path(__file__).resolve().parents[1] / "unit" / "models" / "nets.py"
# What a plugin needs of its user, and no file of trustbench can spell.
REQUIRED = {("model", "module"): {"target": f"{NETS}:Net"}}


class Option(NamedTuple):
    """A plugin as its YAML file configures it."""

    kind: str
    name: str
    path: Path
    node: dict
    plugin: Plugin

    @property
    def module(self):
        return type(self.plugin).__module__

    @property
    def canonical(self):
        """Whether the file is the plugin's own, not a variant of its settings."""
        return self.module.rpartition(".")[2] == self.name


def options(*kinds):
    """Every option of these kinds."""
    found = []
    for kind in kinds or CONTRACTS:
        for name, path in discover(kind, [conf_dir()]).items():
            node = yaml.safe_load(path.read_text(encoding="utf-8"))
            if kind in ("intervention", "evaluator"):
                if name == "none":
                    continue  # the baseline is the absence of a plugin
                assert list(node) == [name], f"{path} has one top key, its own name"
                node = node[name]
            settings = {**node, **REQUIRED.get((kind, name), {})}
            found.append(Option(kind, name, path, node, build(kind, name, settings, name)))
    return found


OPTIONS = options()


def of(*kinds):
    """Runs a test once for every option of these kinds."""
    chosen = [o for o in OPTIONS if o.kind in kinds]
    ids = [o.name if len(kinds) == 1 else f"{o.kind}/{o.name}" for o in chosen]
    return pytest.mark.parametrize("option", chosen, ids=ids)


@pytest.fixture(scope="session")
def image_problem():
    """The toy problem with its columns arranged as one-channel images."""
    flat = make_problem(n=300, d=28 * 28)
    pixels = tuple(Feature(f"p{j}", "pixel", (j,), -20.0, 20.0) for j in range(28 * 28))
    return dataclasses.replace(flat, X=flat.X.reshape(-1, 1, 28, 28), features=pixels)


def plugin_modules(kind):
    """The modules of a plugin folder that define a plugin; shared ones define none."""
    package = importlib.import_module(FOLDERS[kind])
    for info in pkgutil.walk_packages(package.__path__, f"{FOLDERS[kind]}."):
        stem = info.name.rpartition(".")[2]
        if info.ispkg or stem.startswith("_") or ".loading." in info.name:
            continue
        module = importlib.import_module(info.name)
        classes = [
            c
            for c in vars(module).values()
            if inspect.isclass(c)
            and issubclass(c, CONTRACTS[kind])
            and c.__module__ == module.__name__
        ]
        if classes:
            yield stem
