"""The YAML documents of tables and policies, and their faults in sentences."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import ErrorDetails

from trustbench.config.binding import complaint
from trustbench.errors import ConfigError, did_you_mean
from trustbench.store import yaml_text
from trustbench.store.yaml_errors import unreadable


def read_yaml(path: Path, kind: str) -> Any:
    """Reads the document in a file; `kind` is its name in error sentences.

    Raises:
        ConfigError: it cannot be read, or gives a key twice.
    """
    try:
        node = yaml_text.compose(yaml_text.text(path))
        twice = list(yaml_text.repeated(node))
        data = None if node is None else yaml_text.construct(node)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(unreadable(f"{kind} {path}", error)) from error
    if twice:
        raise ConfigError([f"{kind} {path}: {key} is given twice; keep one." for key in twice])
    return data


def settings_below(name: str, path: Path) -> Any:
    """What the file of an intervention or an evaluator holds below its name.

    Raises:
        ConfigError: it cannot be read, or has no such key.
    """
    node = read_yaml(path, "the option")
    if not isinstance(node, Mapping) or name not in node:
        raise ConfigError(f"the option {path} has no key {name}; write its settings below {name}.")
    return node[name]


def sentence(error: ErrorDetails, path: Sequence[int | str], keys: Iterable[str]) -> str:
    """A problem found by pydantic at `path`, where `keys` are known, as a sentence."""
    where, given = ".".join(map(str, path)), error["input"]
    if error["type"] == "extra_forbidden":
        return f"unknown key {where}; {did_you_mean(str(path[-1]), keys)}"
    if error["type"] == "missing":
        return f"{where} is missing; give it."
    message = complaint(error)
    if isinstance(given, Mapping):
        return f"{where}: {message}." if where else f"{message}."
    return f"{where} is {given!r}; {message}."
