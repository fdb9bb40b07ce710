"""Refuses meaningless overrides before Hydra composes them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    Override,
    QuotedString,
    ValueType,
)

from trustbench.config.build_arm import GROUPS, KEYS
from trustbench.config.plugins import discover
from trustbench.config.sweep_arms import CHOSEN
from trustbench.errors import ConfigError, did_you_mean

ADDED = ("experiment",)
"""Groups that a run may lack; it has all others."""
SWEPT = ("dataset", "model", "training")
OPENED = (
    "hydra.sweeper.arms",
    "hydra.sweeper.params",
    "hydra.job.env_set",
    "dataset.columns.",
    "dataset.reading.",
    "model.args.",
)
"""Where users add keys, for which Hydra requires a +."""

Options = Callable[[str], Iterable[str]]


def completed(override: str) -> str:
    """The override with the + that Hydra requires for keys that are always additions.

    >>> completed("experiment=smoke"), completed("hydra.sweeper.arms.a=[seed=1]")
    ('+experiment=smoke', '++hydra.sweeper.arms.a=[seed=1]')
    """
    if override.startswith("experiment="):
        return f"+{override}"
    bare = override.lstrip("+")
    return f"++{bare}" if bare.split("=", 1)[0].startswith(OPENED) else override


def listing(dirs: Sequence[Path]) -> Options:
    """Returns a function that lists the options of a config group in these folders."""

    def options(group: str) -> list[str]:
        return [*discover(group, dirs), *(["all"] if group == "evaluator" else [])]

    return options


def refuse_impossible(overrides: Sequence[Override], options: Options, whose: str = "") -> None:
    """Raises ConfigError for overrides that choose nothing, or remove what every run needs.

    `options` lists a config group; `whose` says whose overrides they are, if not the command
    line's.
    """
    found = [next(_problems(o, options), None) for o in overrides]
    problems = [f"{whose}{p}" for p in found if p is not None]
    if problems:
        raise ConfigError(tuple(dict.fromkeys(problems)))


def _problems(o: Override, options: Options) -> Iterator[str]:
    """The problems of an override, most basic first."""
    key, given = o.key_or_group, repr(o.input_line)
    if not key:
        yield f"{given} has no key; write key=value."
    if o.package is not None:
        yield (
            f"{given} moves a group to {o.package!r}, where trustbench does not look for it; "
            f"write {key}=NAME."
        )
    if o.is_delete():
        yield from _removed(o)
        return
    if o.is_sweep_override():
        yield from _unlisted(o)
    if key in (*GROUPS, *ADDED) or key.startswith("hydra/"):
        yield from _unchosen(o, options)


def _removed(o: Override) -> Iterator[str]:
    key, given = o.key_or_group, repr(o.input_line)
    if key == "intervention":
        yield f"{given} removes the whole list; write {key}=none for none."
    elif key in GROUPS:
        yield f"{given} removes what every run needs; choose one with {key}=NAME."
    elif key == "protocol":
        yield f"{given} removes what every run needs; set its keys: {key}.KEY=VALUE."
    elif key in KEYS:
        yield f"{given} removes what every run needs; set it: {key}=VALUE."
    elif key in ADDED:
        yield f"{given} removes an {key} that was not given; drop it."


def _unlisted(o: Override) -> Iterator[str]:
    """Sweeps whose values are not listed."""
    key, given = o.key_or_group, repr(o.input_line)
    if o.is_hydra_override():
        yield f"{given} sweeps a setting of the whole run; give {key} one value."
    elif o.value_type == ValueType.INTERVAL_SWEEP:
        yield f"{given} has no steps; list the values, {key}=a,b, or write {key}=range(a,b)."
    elif o.value_type == ValueType.GLOB_CHOICE_SWEEP and key not in GROUPS:
        yield f"{given} looks for files, but {key} is not a group; list the values: {key}=a,b."


def _unchosen(o: Override, options: Options) -> Iterator[str]:
    """Choices that name no option, or more options than the group allows."""
    key, given = o.key_or_group, repr(o.input_line)
    if o.is_force_add() or (o.is_add() and key not in ADDED):
        several = f", and several as {key}=[a,b]" if key in CHOSEN else ""
        yield f"{given} adds a second {key}; write {str(o.input_line).lstrip('+')}{several}."
    for value in _choices(o):
        if isinstance(value, list) and key not in CHOSEN:
            each = ",".join(str(getattr(v, "text", v)) for v in value)
            sweep = f", or -m {key}={each} to run each" if key in SWEPT and "," in each else ""
            yield f"{given} is a list, but a run has one {key}; write {key}=NAME{sweep}."
        names = value if isinstance(value, list) else [value]
        yield from (
            f"{given} names {name} more than once; give it once."
            for name, count in Counter(str(getattr(n, "text", n)) for n in names).items()
            if count > 1
        )
        if not all(map(_is_name, names)):
            near = "" if o.is_hydra_override() else f" {did_you_mean('', options(key))}"
            yield f"{given} does not name an option; write {key}=NAME.{near}"


def _choices(o: Override) -> list[Any]:
    """The values that a group is given, one after another in a sweep."""
    value: Any = o.value()
    if isinstance(value, ChoiceSweep):
        return list(value.list)
    return [] if isinstance(value, Glob) else [value]


def _is_name(value: Any) -> bool:
    text = value.text if isinstance(value, QuotedString) else value
    return isinstance(text, str) and text not in ("", "???")
