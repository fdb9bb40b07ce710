"""The YAML documents of tables and policies, and their faults in sentences."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import ErrorDetails

from trustbench.config.binding import complaint
from trustbench.errors import ConfigError, did_you_mean
from trustbench.store.yaml_errors import unreadable


def read_yaml(path: Path, kind: str) -> Any:
    """Reads the document in a file; `kind` is its name in error sentences.

    Raises:
        ConfigError: it cannot be read, or gives a key twice.
    """
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        twice = list(_repeated(node, ""))
        data = None if node is None else loader.construct_document(node)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(unreadable(f"{kind} {path}", error)) from error
    if twice:
        raise ConfigError([f"{kind} {path}: {key} is given twice; keep one." for key in twice])
    return data


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


def _repeated(node: yaml.Node | None, where: str) -> Iterator[str]:
    """Every key that occurs twice in a mapping; YAML would silently keep the last."""
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from _repeated(item, f"{where}{i}.")
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = f"{where}{key.value}"
            if name in seen:
                yield name
            seen.add(name)
            yield from _repeated(value, f"{name}.")
