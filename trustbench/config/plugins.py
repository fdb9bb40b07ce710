"""Plugins: found by their YAML files, built from their configuration, imported only if allowed."""

import importlib
import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from trustbench.config.binding import bind, shown
from trustbench.config.settings_file import with_file
from trustbench.contracts import Dataset, Evaluator, Intervention, Model, Plugin
from trustbench.errors import ConfigError, did_you_mean

GROUP = "trustbench.plugins"
"""The entry-point group of packages with plugins: a module, and its `conf` folder."""

CONTRACTS: Mapping[str, type[Plugin]] = {
    "dataset": Dataset,
    "model": Model,
    "intervention": Intervention,
    "evaluator": Evaluator,
}


def discover(kind: str, conf_dirs: Iterable[Path]) -> dict[str, Path]:
    """Every option of a config group, {name: YAML file}, sorted; earlier folders win."""
    found: dict[str, Path] = {}
    for folder in conf_dirs:
        for path in sorted((folder / kind).glob("*.yaml")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def describe(path: Path) -> str:
    """The first comment of a YAML file that is not a run line or package, without its mark."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("# ").strip()
        if text and not text.startswith(("run:", "@package")):
            return text
    return ""


def build(kind: str, name: str, node: Any, key: str, modules: Collection[str] = ()) -> Plugin:
    """Builds the plugin that `node`, at `key` of the configuration, describes.

    `modules` are modules (the config key `plugins`) from which classes may be imported, in addition
    to trustbench's and those of the entry points.

    Raises:
        ConfigError: every problem of the node, each one sentence.
    """
    if not isinstance(node, Mapping):
        raise ConfigError(f"{key} is {shown(node)}; give its settings one by one: {key}.KEY=VALUE.")
    if not isinstance(node.get("_target_"), str):
        raise ConfigError(
            f"{key} is {node!r}, without the `_target_` of a plugin: {name} is given settings but "
            f"not chosen; add it to {kind}=[...], or drop its settings."
        )
    cls = _class(kind, node["_target_"], f"{key}._target_", modules)
    params = {k: v for k, v in node.items() if k not in ("_target_", "name")}
    return bind(cls, with_file(cls, params, key), key)


@cache
def registered() -> tuple[EntryPoint, ...]:
    """The entry points of installed packages with plugins; looked up once per process."""
    return tuple(entry_points(group=GROUP))


def _unstated(cls: type[Plugin], contract: type[Plugin]) -> Iterator[str]:
    """The class attributes that a contract declares without a default and `cls` does not set."""
    return (name for name in inspect.get_annotations(contract) if not hasattr(cls, name))


def _class(kind: str, target: str, key: str, modules: Collection[str]) -> type[Plugin]:
    module_name, _, class_name = target.rpartition(".")
    homes = ("trustbench", *(e.module for e in registered()), *modules)
    if not any(module_name == h or module_name.startswith(f"{h}.") for h in homes):
        raise ConfigError(
            f"{key} is {target!r}, outside of the modules that may be imported "
            f"({', '.join(homes)}); add its module to the list: 'plugins=[{module_name}]'."
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(
            f"{key} is {target!r}, but {error}; "
            "put the folder of the module on PYTHONPATH or install it."
        ) from error
    contract = CONTRACTS[kind]
    cls = getattr(module, class_name, None)
    if not isinstance(cls, type) or not issubclass(cls, contract) or cls is contract:
        names = [
            n
            for n, c in vars(module).items()
            if isinstance(c, type) and issubclass(c, contract) and not inspect.isabstract(c)
            if c is not contract and not any(_unstated(c, contract))
        ]
        raise ConfigError(
            f"{key} is {target!r}, which is not a class of {kind}s in {module_name}; "
            + did_you_mean(class_name, names)
        )
    missing = sorted({*getattr(cls, "__abstractmethods__", ()), *_unstated(cls, contract)})
    if missing:
        raise ConfigError(
            f"{key} is {target!r}, but that class lacks {' and '.join(f'`{m}`' for m in missing)}, "
            f"which its contract requires; add it in {inspect.getfile(cls)}."
        )
    return cls
