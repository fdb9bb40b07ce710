"""Every plugin of trustbench, found by its YAML file."""

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import NamedTuple

import yaml

from trustbench.compose import conf_dir
from trustbench.contracts import Plugin
from trustbench.plugins import CONTRACTS, build, discover

FOLDERS = {
    "dataset": "trustbench.datasets",
    "model": "trustbench.models",
    "intervention": "trustbench.interventions",
    "evaluator": "trustbench.evaluators",
}


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
        return self.module == f"{FOLDERS[self.kind]}.{self.name}"


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
            found.append(Option(kind, name, path, node, build(kind, name, node, name)))
    return found


def plugin_modules(kind):
    """The modules of a plugin folder that define a plugin; shared ones define none."""
    package = importlib.import_module(FOLDERS[kind])
    for info in pkgutil.iter_modules(package.__path__):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{FOLDERS[kind]}.{info.name}")
        classes = [
            c
            for c in vars(module).values()
            if inspect.isclass(c)
            and issubclass(c, CONTRACTS[kind])
            and c.__module__ == module.__name__
        ]
        if classes:
            yield info.name
