"""Finds a plugin by name or class, and checks it against the contract of its kind."""

import importlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from trustbench.api.checks import datasets, evaluators, interventions, models
from trustbench.api.checks.findings import Check, Finding, findings
from trustbench.config.binding import bind
from trustbench.config.plugins import CONTRACTS, build, discover
from trustbench.config.yaml_file import read_yaml, settings_below
from trustbench.contracts import Dataset, Evaluator, Intervention, Model, Plugin
from trustbench.errors import ConfigError, UserError, did_you_mean


class Found(NamedTuple):
    """A plugin and its kind."""

    kind: str
    name: str
    plugin: Plugin


def check_plugin(plugin: Plugin, data_dir: str | Path = "data") -> Iterator[Finding]:
    """Runs every check of a plugin's kind; each passes or says what to do. Trains small toys only.

    `data_dir` is the location of a data set's files.

    >>> from trustbench.models.logistic import Logistic
    >>> for finding in check_plugin(Logistic()):
    ...     print(finding.line())
    ok    `supports` answers
    ok    logits of a table
    ok    rows of a table alone, and the same twice
    ok    logits of images
    ok    rows of images alone, and the same twice
    """
    return findings(_checks(plugin, Path(data_dir).expanduser()))


def _checks(plugin: Plugin, data_dir: Path) -> Iterator[Check]:
    if isinstance(plugin, Dataset):
        return datasets.checks(plugin, data_dir)
    if isinstance(plugin, Model):
        return models.checks(plugin)
    if isinstance(plugin, Intervention):
        return interventions.checks(plugin)
    if isinstance(plugin, Evaluator):
        return evaluators.checks(plugin)
    raise UserError(f"{type(plugin).__name__} is of no kind of plugin: {', '.join(CONTRACTS)}.")


def find_plugin(
    name: str, kind: str | None, conf_dirs: Sequence[Path], modules: Collection[str] = ()
) -> Found:
    """The plugin of an option's name, or of `module:Class` at its default settings.

    Raises:
        UserError: it is unknown, several kinds share the name, or its settings are wrong.
    """
    module, colon, cls = name.partition(":")
    if colon:
        return _of_class(module, cls, kind)
    options = {k: discover(k, conf_dirs) for k in ([kind] if kind else CONTRACTS)}
    kinds = [k for k, known in options.items() if name in known and name != "none"]
    if not kinds:
        every = sorted({n for known in options.values() for n in known})
        raise UserError(f"there is no plugin {name!r}; {did_you_mean(name, every)}")
    if len(kinds) > 1:
        raise UserError(f"{name!r} is {' and '.join(kinds)}; choose one with --kind.")
    path, below = options[kinds[0]][name], kinds[0] in ("intervention", "evaluator")
    node = settings_below(name, path) if below else read_yaml(path, "the option")
    return Found(kinds[0], name, build(kinds[0], name, node, f"{kinds[0]}.{name}", modules))


def _of_class(module: str, name: str, kind: str | None) -> Found:
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ConfigError(
            f"{module}:{name} cannot be imported ({error}); put the folder of the module on "
            "PYTHONPATH."
        ) from error
    for each, contract in CONTRACTS.items():
        if isinstance(found, type) and issubclass(found, contract) and each in (kind or each):
            return Found(each, name, bind(found, {}, f"{module}:{name}"))
    raise UserError(
        f"{module}:{name} is not the class of a {kind or 'plugin'}; give the name of a class that "
        f"derives from {', '.join(c.__name__ for c in CONTRACTS.values())}."
    )
