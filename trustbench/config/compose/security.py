"""Restricts what a configuration may make this process do: build the plugins it names.

Hydra imports and calls anything that its own part of a configuration names: callbacks, logging
classes, nested `_target_`. An experiment file from somebody else could thus run arbitrary code.
Every configuration is therefore composed by Hydra's Compose API, which acts on nothing, and
checked before Hydra gets it.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.plugin import Plugin
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from trustbench.config.compose.hydra_settings import refuse_composed
from trustbench.errors import ConfigError
from trustbench.store.redaction import conceal

HOMES = ("hydra_plugins.", "hydra._internal.core_plugins.")
PLUGINS = {"hydra.launcher": Launcher, "hydra.sweeper": Sweeper}
ARMS = "hydra_plugins.trustbench_arms_sweeper.ArmsSweeper"
"""The one sweeper that checks every arm before the first one starts."""
LOGGING = ("hydra.hydra_logging", "hydra.job_logging")
HANDLERS = ("logging.StreamHandler", "logging.NullHandler")
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
# Settings of launchers, ours and others', that end in a shell.
SHELL = ("setup", "teardown", "sbatch", "additional_parameters", "srun_args", "python")
READABLE = ("HOME", "USER", "TMPDIR", "SCRATCH")
OWN = "TRUSTBENCH_"
"""The environment variables that a configuration may read; others may be secrets."""


@contextlib.contextmanager
def restricted_environment() -> Iterator[None]:
    """Lets `oc.env` read no variable that could be a secret inside the block.

    Values end up in records and on servers.
    """
    OmegaConf.register_new_resolver("oc.env", _environment, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


@contextlib.contextmanager
def copied_variables() -> Iterator[None]:
    """Lets Hydra compose inside the block, which copies environment variables.

    Raises:
        ConfigError: one of them is not set.
    """
    try:
        yield
    except KeyError as error:
        raise ConfigError(
            f"hydra.job.env_copy names {error}, which is not set; drop it, and set environment "
            "variables in the shell."
        ) from error


def check_composed(made: DictConfig, overrides: Sequence[str]) -> None:
    """Refuses a configuration before Hydra, or a launcher, acts on its part `hydra`.

    `overrides` are those that it was composed with.

    Raises:
        ConfigError: one sentence for each refused item.
    """
    given = OmegaConf.select(made, "tracking_uri", throw_on_resolution_failure=False)
    conceal(given if isinstance(given, str) else None)
    refuse_code(made.hydra, overrides)
    refuse_composed(made.hydra, [_key(o) for o in overrides])


def _key(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0]


def refuse_code(hydra: Any, overrides: Sequence[str] = ()) -> None:
    """Raises ConfigError if Hydra's part of a configuration runs code or shell commands.

    `overrides` are those of the command line, which come from the user.
    """
    given = [_key(o) for o in overrides]
    plain = OmegaConf.to_container(hydra, resolve=False)
    problems = [*_targets(plain), *_logging(plain), *_shell(hydra, given)]
    if hydra.job.env_set and not any(g.startswith("hydra.job.env_set") for g in given):
        names = ", ".join(map(str, hydra.job.env_set))
        problems.append(
            f"hydra.job.env_set sets {names} from a file; set environment variables in the shell."
        )
    if problems:
        raise ConfigError(problems)


def refuse_path(experiment: str) -> None:
    """Raises ConfigError for an experiment that is not a plain name; folders are named after it."""
    if not re.fullmatch(r"\w[\w.=+-]*(/\w[\w.=+-]*)*", experiment):
        raise ConfigError(
            f"experiment={experiment} is not a name; name a file in conf/experiment by letters, "
            "digits and any of _ . = + -."
        )


def _targets(plain: Any) -> Iterator[str]:
    """Launcher and sweeper are Hydra's plugins; nothing else below `hydra` may name a class."""
    for key, value in _walk(plain, "hydra"):
        where, _, last = key.rpartition(".")
        if last != "_target_" or value is None:
            continue
        if where not in PLUGINS:
            yield f"{key} is {value!r}, which Hydra would call; drop it."
        elif not str(value).startswith(HOMES) or value not in _installed(PLUGINS[where]):
            yield (
                f"{key} is {value!r}, which is not an installed plugin of Hydra's; choose one with "
                f"{where.replace('.', '/')}=NAME."
            )
        elif where == "hydra.sweeper" and value != ARMS:
            yield (
                f"{key} is not trustbench's own, which checks every arm before the first one "
                "starts; drop it."
            )


def _installed(kind: type[Plugin]) -> list[str]:
    return [f"{c.__module__}.{c.__qualname__}" for c in Plugins.instance().discover(kind)]


def _logging(plain: Any) -> Iterator[str]:
    """Python's logging configuration imports and calls what it names, and opens any file."""
    for section in LOGGING:
        for key, value in _walk(plain[section.split(".")[1]], section):
            last, text = key.rpartition(".")[2], str(value)
            known = value in HANDLERS if last == "class" else last not in ("()", "factory")
            foreign = text.startswith(("cfg://", "ext://"))
            if not known or "${" in text or (foreign and value not in STREAMS):
                yield (
                    f"{key} is {text!r}; logging takes {' and '.join(HANDLERS)} on "
                    f"{' or '.join(STREAMS)} only: drop it, trustbench keeps its own logs."
                )


def _shell(hydra: Any, given: Sequence[str]) -> Iterator[str]:
    """Shell commands may come only from the command line, or from a launcher that it chose."""
    choice = str(hydra.runtime.choices.get("hydra/launcher"))
    for key in SHELL:
        value = hydra.launcher.get(key) if hydra.launcher else None
        if not value or any(g.startswith(f"hydra.launcher.{key}") for g in given):
            continue
        folders = [Path(s.path) for s in hydra.runtime.config_sources if s.schema == "file"]
        own = [_option(f / "hydra" / "launcher" / f"{choice}.yaml", key) for f in folders]
        if "hydra/launcher" not in given or value not in own:
            yield (
                f"hydra.launcher.{key} is {value}, which a shell would run; give it on the "
                f"command line: 'hydra.launcher.{key}=...', or choose the launcher whose file has "
                "it there: hydra/launcher=NAME."
            )


def _option(path: Path, key: str) -> Any:
    loaded = OmegaConf.load(path) if path.is_file() else None
    return loaded.get(key) if isinstance(loaded, DictConfig) else None


def _walk(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Every leaf below `value` under its dotted key."""
    if isinstance(value, Mapping):
        for k, inner in value.items():
            yield from _walk(inner, f"{key}.{k}")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _walk(inner, f"{key}.{i}")
    else:
        yield key, value


def _environment(name: str, *default: Any) -> Any:
    """`oc.env`, restricted to variables that are not secrets."""
    if name not in READABLE and not name.startswith(OWN):
        raise ConfigError(
            f"a configuration may not read the environment variable {name}, whose value would "
            f"appear in records; it may read {', '.join(READABLE)} and {OWN}*."
        )
    return oc.env(name, *default)
