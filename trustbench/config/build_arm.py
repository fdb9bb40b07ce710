"""Builds an Arm from a composed configuration of plain values; reports all problems at once."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trustbench.config import fingerprints
from trustbench.config.arms import Arm, Chosen, Protocol, Training
from trustbench.config.binding import Problems, bind, check, schema, shown
from trustbench.config.plugins import build
from trustbench.errors import ConfigError, did_you_mean
from trustbench.store.addresses import checked
from trustbench.store.redaction import conceal

RUN_KEYS = (
    "control",
    "seed",
    "device",
    "deterministic",
    "engine",
    "threads",
    "activation_gb",
    "checkpoint_s",
)
FOLDERS = ("output_dir", "data_dir")
GROUPS = ("dataset", "model", "training", "intervention", "evaluator", "table")
KEYS = (*GROUPS, "protocol", *RUN_KEYS, *FOLDERS, "tracking_uri", "plugins")


class _Own(NamedTuple):
    """Where the user's own code and files are."""

    modules: tuple[str, ...]
    folder: Path


def build_arm(config: Mapping[str, Any], experiment: str = "default") -> Arm:
    """Builds the arm that a composed configuration describes; imports its plugins.

    Raises:
        ConfigError: every problem of the configuration, each one sentence with its full key.
    """
    problems, hints = Problems(), schema(Arm)
    for key in config:
        if key not in KEYS:
            problems.add(f"unknown key {key}; {did_you_mean(key, KEYS)}")
    for key in KEYS:
        if key not in config and key not in ("intervention", "evaluator"):
            problems.add(f"{key} is missing from the configuration; restore its value.")
    problems.sentences += [s for kind in GROUPS[:5] for s in _unprintable(config.get(kind), kind)]
    problems.raise_any()
    named = problems.of(check, tuple[str, ...], config["plugins"], "plugins") or ()
    own = _Own(named, Path.cwd())
    parts: dict[str, Any] = {
        "dataset": problems.of(_one, "dataset", config, own),
        "model": problems.of(_one, "model", config, own),
        "interventions": _many("intervention", config, own, problems),
        "evaluators": _many("evaluator", config, own, problems),
        "training": problems.of(_section, Training, config, "training"),
        "protocol": problems.of(_section, Protocol, config, "protocol"),
    }
    for name in RUN_KEYS:
        parts[name] = problems.of(check, hints[name], config[name], name)
    for name in FOLDERS:
        parts[name] = problems.of(_folder, config[name], name)
    parts["tracking_uri"] = problems.of(_tracking_uri, config["tracking_uri"])
    if not config.get("evaluator"):
        problems.add("no evaluator was chosen; give evaluator=all or evaluator=[name, ...].")
    problems.raise_any()
    return Arm(**parts, experiment=experiment, folder=own.folder)


def _unprintable(value: Any, key: str) -> Iterator[str]:
    """A sentence for each text with a control character, which could forge a line of a report."""
    if isinstance(value, Mapping):
        for k, inner in value.items():
            yield from _unprintable(str(k), key)
            yield from _unprintable(inner, f"{key}.{k}")
    elif isinstance(value, list):
        for inner in value:
            yield from _unprintable(inner, key)
    elif isinstance(value, str) and not value.isprintable():
        yield f"{key} is {value!r}; give text without line feeds and control characters."


def _one(kind: str, config: Mapping[str, Any], own: _Own) -> Chosen[Any]:
    node = config.get(kind)
    name = node.get("name") if isinstance(node, Mapping) else None
    if not isinstance(name, str):
        raise ConfigError(f"{kind}.name is {name!r}; give the {kind}'s name, that of its file.")
    return _chosen(kind, name, node, kind, own)


def _many(
    kind: str, config: Mapping[str, Any], own: _Own, problems: Problems
) -> tuple[Chosen[Any], ...]:
    chosen = []
    for name, node in (config.get(kind) or {}).items():
        one = problems.of(_chosen, kind, name, node, f"{kind}.{name}", own)
        if one is not None:
            chosen.append(one)
    return tuple(chosen)


def _chosen(kind: str, name: str, node: Any, key: str, own: _Own) -> Chosen[Any]:
    """The plugin at `key` of the configuration, with the fingerprints of what it depends on."""
    plugin = build(kind, name, node, key, own.modules).located(own.folder)
    return Chosen(name, plugin, fingerprints.of(plugin, key))


def _section(cls: type, config: Mapping[str, Any], key: str) -> Any:
    node = config.get(key)
    if not isinstance(node, Mapping):
        raise ConfigError(f"{key} is {shown(node)}; give its keys one by one: {key}.KEY=VALUE.")
    return bind(cls, node, key)


def _folder(value: Any, key: str) -> Path:
    given = check(str, value, key)
    if not given.strip():
        raise ConfigError(f"{key} is empty; give a folder.")
    path = Path(given).expanduser().absolute()
    if not given.isprintable():
        raise ConfigError(
            f"{key} is {given!r}; give a folder whose name is UTF-8 text without line feeds and "
            "control characters."
        )
    try:
        blocker = next((p for p in (path, *path.parents) if p.exists()), path)
    except OSError as error:
        raise ConfigError(f"{key} is {given!r}: {error.strerror}; give another folder.") from error
    if not blocker.is_dir():
        raise ConfigError(f"{key} is {given!r}, but {blocker} is a file; give a folder.")
    return path


def _tracking_uri(value: Any) -> str | None:
    uri: str | None = check(str | None, value, "tracking_uri")
    conceal(uri)
    return uri if uri is None else checked(uri, "tracking_uri")
