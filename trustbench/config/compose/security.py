"""Restricts what a configuration may make this process do: build the plugins it names.

Hydra imports and calls anything that its own part of a configuration names: callbacks, logging
classes, nested `_target_`. An experiment file from somebody else could thus run arbitrary code.
Every configuration is therefore checked as soon as it is composed, before Hydra acts on it.
"""

import contextlib
import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

# Private, and replaced below: Hydra instantiates what a configuration names as soon as it has
# composed it, and has no hook in between (hydra#3188, whose hook hydra#3295 took back); an
# allowlist of its own is planned for 1.4 (hydra#3258).
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigSource
from hydra.plugins.launcher import Launcher
from hydra.plugins.plugin import Plugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from trustbench.config.compose.arguments import conf_dir
from trustbench.config.compose.file_errors import readable
from trustbench.config.compose.hydra_settings import refuse_composed
from trustbench.config.sweep_arms import method_of
from trustbench.errors import ConfigError
from trustbench.store import yaml_text
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
def guarded() -> Iterator[None]:
    """Refuses, inside the block, any composition that would run code that no plugin declares.

    Hydra has no hook between composing and acting, so its loader is wrapped here. `oc.env` reads no
    variable that could be a secret, because values end up in records and on servers. Each file is
    read once: Hydra composes a sweep at least four times, and reading the table takes longest. What
    is read of trustbench's own files serves later compositions too, until a file changes.

    Raises:
        ConfigError: one sentence for each refused item.
    """
    source = _file_source()
    original, read = ConfigLoaderImpl.load_configuration, source.load_config
    files: dict[tuple[str, str], Any] = {}
    own = conf_dir()

    def load(
        self: Any, config_name: Any, overrides: list[str], run_mode: RunMode, **kw: Any
    ) -> DictConfig:
        common = _for_all_arms(overrides) if run_mode == RunMode.MULTIRUN else overrides
        try:
            made = original(self, config_name, common, run_mode, **kw)
        except KeyError as error:  # raised by Hydra if an environment variable is not set
            raise ConfigError(
                f"hydra.job.env_copy names {error}, which is not set; drop it, and set environment "
                "variables in the shell."
            ) from error
        given = OmegaConf.select(made, "tracking_uri", throw_on_resolution_failure=False)
        conceal(given if isinstance(given, str) else None)
        refuse_code(made.hydra, overrides)
        refuse_composed(made.hydra, [_key(o) for o in overrides])
        if len(common) < len(overrides):
            made.hydra.overrides.task = [
                o for o in overrides if not _key(o).startswith(("hydra.", "hydra/"))
            ]
        return made

    def read_once(self: ConfigSource, config_path: str) -> Any:
        key = self.path, config_path
        if key not in files:
            with readable(f"{self.path}/{config_path}"):
                if Path(self.path) == own:
                    files[key] = _shipped(own, config_path, partial(read, self, config_path))
                else:
                    _refuse_unbounded(Path(self.path), config_path)
                    files[key] = read(self, config_path)
        return copy.deepcopy(files[key])

    ConfigLoaderImpl.load_configuration = load  # type: ignore[method-assign,assignment]
    source.load_config = read_once  # type: ignore[method-assign]
    OmegaConf.register_new_resolver("oc.env", _environment, replace=True)
    try:
        yield
    finally:
        ConfigLoaderImpl.load_configuration = original  # type: ignore[method-assign]
        source.load_config = read  # type: ignore[method-assign]
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _refuse_unbounded(folder: Path, name: str) -> None:
    """Raises YAMLError for a file that Hydra could not read within seconds."""
    path = _file(folder, name)
    if path.is_file():  # else Hydra looks elsewhere
        yaml_text.check(yaml_text.text(path))


def _file(folder: Path, name: str) -> Path:
    return folder / (name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")


# A file of trustbench's own -> when it was changed, and what Hydra read from it.
_SHIPPED: dict[Path, tuple[int, Any]] = {}


def _shipped(folder: Path, name: str, read: Callable[[], Any]) -> Any:
    """Returns what `read` gives for a file of trustbench's own, which it reads once per change."""
    path = _file(folder, name)
    changed = path.stat().st_mtime_ns if path.is_file() else 0  # Hydra says that it is missing
    kept = _SHIPPED.get(path)
    if kept is None or kept[0] != changed:
        kept = _SHIPPED[path] = changed, read()
    return kept[1]


def _file_source() -> type[ConfigSource]:
    """The source from which Hydra reads files.

    Hydra imports its plugins anew, so this is not the class that an import statement gives.
    """
    sources: list[Any] = Plugins.instance().discover(ConfigSource)
    found: type[ConfigSource] = next(s for s in sources if s.scheme() == "file")
    return found


def _for_all_arms(overrides: Sequence[str]) -> list[str]:
    """A sweep's overrides without settings of methods, which only some of its arms may choose.

    Hydra itself would refuse them (hydra#283).
    """
    return [o for o in overrides if method_of(o.split("=", 1)[0]) is None]


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
            f"stand in records; it may read {', '.join(READABLE)} and {OWN}*."
        )
    return oc.env(name, *default)
