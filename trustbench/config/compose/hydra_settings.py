"""Which settings of Hydra trustbench obeys; the others are refused instead of ignored.

Hydra composes and launches. Folders, records, logs and resume are trustbench's own, so Hydra's
settings for them would do nothing, or leave empty folders behind.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from trustbench.errors import ConfigError, did_you_mean

LOGGING = ("job_logging", "hydra_logging")
GROUPS = ("launcher", "sweeper", *LOGGING)
OBEYED = (*GROUPS, "searchpath", "mode", "verbose", "job.env_set")
FOLDER = "output_dir=FOLDER sets where results go"
SHELL = "set environment variables in the shell"
INSTEAD = {
    "run": FOLDER,
    "sweep": FOLDER,
    "output": FOLDER,
    "output_subdir": "every record holds the configuration of its arm",
    "job.chdir": "a run stays in its starting folder",
    "job.env_copy": SHELL,
    "callbacks": "trustbench runs no callbacks",
    "help": "`trustbench run --help` is fixed",
    "hydra_help": "`trustbench run --help` is fixed",
}
DEFAULTS: dict[str, Any] = {
    "run.dir": ".",
    "sweep.dir": ".",
    "sweep.subdir": ".",
    "output_subdir": None,
    "job.name": "trustbench",
    "job.chdir": False,
    "job.env_copy": [],
    "callbacks": {},
}
"""Values in conf/config.yaml and Hydra of settings that must not change in a file either."""
SWEEPS = ("arms", "factors", "params", "max_batch_size")
PLAIN = ("pool", "basic")
"""Launchers whose choice makes no difference to one arm."""
QUIET = {"version": 1, "root": None, "disable_existing_loggers": False}
HERE = {"verbose": False, "job_logging": QUIET, "hydra_logging": QUIET, "job.env_set": {}}
"""Settings that Hydra applies in the processes of its own launchers, with their unset values."""


def refuse_given(overrides: Sequence[Override]) -> None:
    """Raises ConfigError for overrides of Hydra's own part that would be ignored."""
    problems = [p for o in overrides for p in _given(o)]
    if problems:
        raise ConfigError(problems)


def refuse_composed(hydra: DictConfig, given: Sequence[str]) -> None:
    """Raises ConfigError for settings of Hydra's own part in files that would be ignored.

    `given` are the keys of the command line's overrides.
    """
    problems = [_ignored(f"hydra.{name}", name) for name in _changed(hydra, DEFAULTS)]
    if hydra.mode == RunMode.RUN:
        problems += _unswept(hydra, given)
    elif hydra.mode == RunMode.MULTIRUN:
        problems += _unreached(hydra)
    if problems:
        raise ConfigError(problems)


def _given(o: Override) -> Iterator[str]:
    key, given = o.key_or_group, repr(o.input_line)
    if key == "hydra":
        yield f"{given} replaces Hydra's whole part; set single keys of it: hydra.launcher.KEY."
    if not o.is_hydra_override():
        return
    name = key[len("hydra.") :]
    if o.is_delete():
        yield f"{given} removes a setting that every run needs; set it instead."
    elif key.startswith("hydra/"):
        if name not in GROUPS:
            yield _ignored(key, name)
    else:
        yield from _set(o, key, name)


def _set(o: Override, key: str, name: str) -> Iterator[str]:
    """What is wrong with a value that is set rather than chosen from a group."""
    given, group = repr(o.input_line), name.split(".")[0]
    if name in GROUPS or group in LOGGING:
        yield f"{given} changes {key}, which is chosen as a whole: hydra/{group}=NAME."
    elif name == "verbose" and not _is_verbosity(o.value()):
        yield f"{given} is not a verbosity; write true, false, or a list of loggers: [a,b]."
    elif not any(name == k or name.startswith(f"{k}.") for k in OBEYED):
        yield _ignored(key, name)


def _is_verbosity(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return isinstance(value, bool) or all(isinstance(n, str) for n in names)


def _ignored(key: str, name: str) -> str:
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        instead = INSTEAD.get(".".join(parts[:end]))
        if instead is not None:
            return f"{key} is given, but trustbench does not use it: {instead}; drop it."
    near = did_you_mean(parts[0], [k for k in OBEYED if "." not in k])
    return f"{key} is given, but trustbench does not use it; {near}"


def _unswept(hydra: DictConfig, given: Sequence[str]) -> Iterator[str]:
    """Settings of sweeps in a run of one arm."""
    listed = [k for k in SWEEPS if (hydra.sweeper or {}).get(k)]
    if listed:
        names = " and ".join(f"hydra.sweeper.{k}" for k in listed)
        yield f"{names} is for a sweep, and this run has one arm; give -m."
    choice = str(hydra.runtime.choices.get("hydra/launcher"))
    keys = [k for k in given if k.startswith("hydra.launcher.") and not k.endswith(".on_error")]
    if choice not in PLAIN:
        keys.insert(0, f"hydra/launcher={choice}")
    if keys:
        yield f"{', '.join(keys)} is for a sweep, and this run has one arm; give -m, or drop it."


def _unreached(hydra: DictConfig) -> Iterator[str]:
    """Settings that do not reach the processes of trustbench's own launchers."""
    choice = str(hydra.runtime.choices.get("hydra/launcher"))
    if not str(hydra.launcher.get("_target_")).startswith("hydra_plugins.trustbench_"):
        return
    for name in _changed(hydra, HERE):
        yield (
            f"hydra.{name} does not reach the processes of hydra/launcher={choice}; drop it, or "
            "choose hydra/launcher=basic."
        )


def _changed(hydra: DictConfig, defaults: Mapping[str, Any]) -> Iterator[str]:
    """The keys whose values are not the defaults."""
    for name, default in defaults.items():
        value = OmegaConf.select(hydra, name, throw_on_missing=False)
        plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        if plain != default:
            yield name
