"""Completions of a partial command line: commands, flags, options, experiments, arms."""

import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from trustbench.api.folders import default_output_dir
from trustbench.commands.catalogue import COMMANDS, module_of
from trustbench.config.compose import conf_dirs, flags
from trustbench.config.compose.arguments import conf_dir
from trustbench.config.plugins import discover
from trustbench.errors import TrustbenchError
from trustbench.store import yaml_text
from trustbench.store.records import Store

SHELLS = ("bash", "zsh", "fish")
LISTED = {"--policy": "policy", "--table": "table"}
"""Flags whose values are options of a configuration group."""
COMPOSED = ("run", "plan")
"""Commands whose arguments Hydra composes."""


def candidates(words: Sequence[str]) -> list[str]:
    """The completions of the last of `words`, those after `trustbench`.

    An empty list lets the shell complete files. An unfinished line may hold any mistake, and the
    shell would print an error into it, so errors of trustbench give no completions.
    """
    *before, last = words
    with contextlib.suppress(TrustbenchError):
        return sorted({c for c in _all(before, last) if c.startswith(last)})
    return []


def _all(before: Sequence[str], last: str) -> Iterable[str]:
    if not before:
        return [*COMMANDS, "help", "--help", "--version"]
    command, *given = before
    if command == "help":
        return COMMANDS
    if command == "completion":
        return SHELLS
    if command not in COMMANDS:
        return []
    if given and given[-1].startswith("--") and (values := _values(given, given[-1])):
        return values
    if command in COMPOSED:
        return flags.used() if last.startswith("-") else _settings(given, last)
    return _declared(command, last)


def _values(given: Sequence[str], flag: str) -> list[str]:
    """The values that a flag takes, where there is a list of them."""
    if flag in LISTED:
        return [*discover(LISTED[flag], _dirs(given))]
    if flag == "--experiment":
        return _store(given).experiments()
    if flag == "--arm":
        return sorted({name for sweep in _store(given).last_sweeps() for name in sweep.names})
    return []


def _settings(given: Sequence[str], last: str) -> Iterator[str]:
    """`group=option` for the word so far, also within `[a,b` and `a,b`; keys end in `=`."""
    dirs = _dirs(given)
    groups = {p.name for folder in dirs for p in folder.iterdir() if p.is_dir()} - {"hydra"}
    key, equals, value = last.partition("=")
    group = key.lstrip("+~")
    if equals and group in groups:
        head = last[: len(last) - len(re.split(r"[\[,]", value)[-1])]
        yield from (head + option for option in discover(group, dirs))
        return
    added = {"experiment", "policy"}
    yield from (f"{'+' * (g in added)}{g}=" for g in groups if g != "policy")
    yield from (f"{key}=" for key in _keys(groups))


def _keys(groups: Iterable[str]) -> Iterator[str]:
    """The keys of a run that are values, as `protocol.replicates`."""
    config = yaml_text.load(yaml_text.text(conf_dir() / "config.yaml"))
    for key in config.keys() - {"defaults", "hydra", *groups}:
        below = config[key]
        yield from (f"{key}.{name}" for name in below) if isinstance(below, dict) else [key]


def _declared(command: str, last: str) -> Iterator[str]:
    """What the command's own help names: flags, or the choices of its first argument."""
    help_text = io.StringIO()
    with contextlib.redirect_stdout(help_text), contextlib.suppress(SystemExit):
        module_of(command).main(["--help"])
    usage, _, _ = help_text.getvalue().partition("\n\n")
    if last.startswith("-"):
        yield from re.findall(r"(?<![\w-])--[a-z][a-z-]*", help_text.getvalue())
    elif choices := re.search(r"(?<!\S)\[?\{([\w,-]+)\}", usage):
        yield from choices[1].split(",")


def _dirs(given: Sequence[str]) -> list[Path]:
    return conf_dirs(_after("--config-dir", given))


def _store(given: Sequence[str]) -> Store:
    return Store(Path(_after("--from", given) or default_output_dir()))


def _after(flag: str, given: Sequence[str]) -> str | None:
    """The value of a flag, if the line has it; None otherwise."""
    return next((value for name, value in pairwise(given) if name == flag), None)
