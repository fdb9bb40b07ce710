"""The command that runs a record's arm again, from the record alone."""

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from trustbench.store.records import PluginSpec, Record

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = ("null", "true", "false", "nan", "inf")


def overrides(record: Record) -> list[str]:
    """The arguments of `trustbench run`: every setting that the arm's numbers depend on.

    Settings are given with `++`, which sets a key whether or not its file names it.
    """
    arm = record.arm
    names = [i.name for i in arm.interventions]
    found = [f"dataset={arm.dataset.name}", *_settings("dataset", arm.dataset.params)]
    found += [f"model={arm.model.name}", *_settings("model", arm.model.params)]
    regime = str(arm.training["regime"])
    found += [f"training={regime}"]
    found += _settings("training", {k: v for k, v in arm.training.items() if k != "regime"})
    found += [f"intervention=[{','.join(names) or 'none'}]"]
    for i in arm.interventions:
        found += _settings(f"intervention.{i.name}", i.params)
    found += _settings("protocol", arm.protocol)
    found += [f"control={arm.control}", f"seed={arm.seed}", f"engine={arm.engine}"]
    return found


def evaluators(record: Record) -> list[str]:
    """The overrides that choose the record's evaluators, with their settings."""
    specs: dict[str, PluginSpec] = {}
    for evaluation in record.evaluations.values():
        specs.setdefault(evaluation.evaluator.name, evaluation.evaluator)
    found = [f"evaluator=[{','.join(specs)}]"]
    for name, spec in specs.items():
        found += _settings(f"evaluator.{name}", spec.params)
    return found


def command(record: Record) -> str:
    """The command for a POSIX shell, one setting per line."""
    words = ["trustbench run", *map(shlex.quote, [*overrides(record), *evaluators(record)])]
    return " \\\n  ".join(words)


def _settings(key: str, params: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"++{key}.{name}={value(v)}" for name, v in params.items())


def value(v: Any) -> str:
    r"""A value in the syntax of Hydra's command line.

    >>> print(value([1, None, "a b", "it's", True, {"k": "x"}]))
    [1,null,'a b','it\'s',true,{k:x}]
    """
    if v is None:
        return "null"
    if isinstance(v, bool):
        return str(v).lower()
    if isinstance(v, list | tuple):
        return f"[{','.join(map(value, v))}]"
    if isinstance(v, Mapping):
        return "{" + ",".join(f"{value(str(k))}:{value(x)}" for k, x in v.items()) + "}"
    if isinstance(v, str):
        return v if _bare(v) else _quoted(v)
    return repr(v)


def _bare(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS


def _quoted(text: str) -> str:
    """A single-quoted string; a backslash counts only before a quote or at the end."""
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    return f"'{escaped}{chr(92) * trailing}'"
