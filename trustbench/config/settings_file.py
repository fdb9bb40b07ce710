"""Settings of a plugin that are in a user's own YAML file, which one of its fields names."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trustbench.config.yaml_file import read_yaml
from trustbench.contracts import Plugin
from trustbench.errors import ConfigError, did_you_mean


def with_file(cls: type[Plugin], params: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The settings `params`, completed by those of the file; what is given beside it wins.

    A setting counts as given if it is not the default. Mappings are joined key by key. A relative
    path in the file begins at the file's own folder.

    Raises:
        ConfigError: the file is absent, is not a mapping, or has an unknown key.
    """
    field = cls.settings_file
    named = params.get(field) if field else None
    if field is None or not isinstance(named, str):
        return dict(params)
    path = Path(named).expanduser()
    if not path.is_file():
        raise ConfigError(f"{key}.{field} is {named!r}, which is not a file; give a YAML file.")
    written = read_yaml(path, f"{key}.{field}")
    if not isinstance(written, Mapping):
        raise ConfigError(f"{key}.{field} {path} holds no keys with values; write key: value.")
    defaults = _defaults(cls)
    for name in written:
        if name not in defaults or name == field:
            allowed = [n for n in defaults if n != field]
            raise ConfigError(f"{key}.{field} {path}: unknown key {name}; "
                              f"{did_you_mean(str(name), allowed)}")  # fmt: skip
    own = {n: _located(v, path) if n in cls.paths else v for n, v in written.items()}
    return _joined(own, params, defaults)


def _defaults(cls: type[Plugin]) -> dict[str, Any]:
    """The default of every field, as plain values."""
    found = {}
    for f in dataclasses.fields(cls):
        made: Any = f.default_factory() if callable(f.default_factory) else f.default
        if dataclasses.is_dataclass(made) and not isinstance(made, type):
            made = dataclasses.asdict(made)
        found[f.name] = _plain(made)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _located(value: Any, file: Path) -> Any:
    if not isinstance(value, str) or Path(value).expanduser().is_absolute():
        return value
    beside = file.parent / value
    return str(beside) if beside.exists() else value


def _joined(
    written: Mapping[str, Any], given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    out = dict(written)
    for name, value in given.items():
        default = defaults.get(name)
        if isinstance(value, Mapping) and isinstance(out.get(name), Mapping):
            inner = default if isinstance(default, Mapping) else {}
            out[name] = _joined(out[name], value, inner)
        elif name not in out or name not in defaults or value != default:
            out[name] = value
    return out
