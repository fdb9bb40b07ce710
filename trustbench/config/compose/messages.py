"""Hydra's error messages as one sentence each: what was given, what is available, what to do.

No text of Hydra or OmegaConf reaches a user: an error that no rule here matches is reported by the
override or the file that it concerns.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf.errors import OmegaConfBaseException

from trustbench.config.build_arm import GROUPS
from trustbench.config.compose import value_errors
from trustbench.config.sweep_arms import method_of, not_chosen
from trustbench.errors import did_you_mean

LOOK = "`trustbench run --cfg job` shows what can be set"
_KEY = re.compile(r"Could not (?:override|append to config\. An item is already at) '([^']+)'")
_GONE = re.compile(r"Could not delete from config\. '([^']+)'")
_LISTED = re.compile(r"Available options in '[^']+':\n((?:\t.*\n?)+)")
_MERGED = re.compile(r"Error merging override (.+)")
_FILE = re.compile(r"In '([^']+)': ")
_FULL_KEY = re.compile(r"full_key: (\S+)")

Options = Callable[[str], Iterable[str]]


@dataclass(frozen=True)
class Error:
    """The text of an error, and what is known about its context."""

    text: str
    known: Any
    """A configuration that shows which keys exist."""
    options: Options
    """Lists a config group."""

    @property
    def where(self) -> str:
        """The file in which it occurred, with a colon; empty for the command line."""
        file = _FILE.search(self.text)
        own = ("config", "hydra/config")
        return f"{file.group(1)}.yaml: " if file and file.group(1) not in own else ""


def sentence(error: BaseException, known: Any, options: Options = lambda _: ()) -> str:
    """One sentence for an error of Hydra or OmegaConf."""
    chain = list(_chain(error))
    text = "\n".join(map(str, chain))
    told = Error(text, known, options)
    unread = getattr(error, "override", None)  # of Hydra's OverrideParseException
    if isinstance(unread, str):
        return (
            f"{unread!r} cannot be read; write key=value, close every bracket and quote, and quote "
            "odd values: \"key='a b'\"."
        )
    for pattern, say in _RULES:
        found = pattern.search(text)
        if found:
            return say.format(*found.groups()) if isinstance(say, str) else say(found, told)
    cause = next((e for e in chain if isinstance(e, OmegaConfBaseException)), None)
    return _value(cause, told)


def complained_keys(error: BaseException) -> list[str]:
    """The keys that `error` says do not exist."""
    return [m.group(1) for p in (_KEY, _GONE) for m in p.finditer(str(error))]


def no_key(key: str, known: Any, options: Options) -> str:
    """What is wrong with a key; `known` ends at the first part of it that does not exist."""
    node, parts = known, key.split(".")
    for i, part in enumerate(parts):
        where = ".".join(parts[: i + 1])
        if not isinstance(node, Mapping):
            return f"unknown key {key}; {'.'.join(parts[:i])} is {node!r}, which has no keys."
        if part not in node:
            method = method_of(key)
            if method and i < 2:
                return not_chosen(key, *method, options(method[0]))
            names = _names(node)
            return f"unknown key {where}; {did_you_mean(part, names) if names else f'{LOOK}.'}"
        node = node[part]
    return f"{key} cannot be set here; {LOOK}."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _names(node: Mapping[Any, Any]) -> list[str]:
    """The keys that a user may set; Hydra's own part is for experts."""
    return [str(k) for k in node if k not in ("hydra", "_target_")]


def _option(found: re.Match[str], error: Error) -> str:
    group, name = found.group(1).rpartition("/")[::2]
    if not group:
        return f"{error.where}there is no configuration file {name!r}; write `group: option`."
    folder, _, last = group.rpartition("/")
    if folder and last in GROUPS:
        return (
            f"{error.where}{last} is looked for in the folder {folder}; write `override /{last}: "
            f"{name}`."
        )
    listed = _LISTED.search(error.text)
    near = did_you_mean(name, listed.group(1).split() if listed else error.options(group))
    return f"{error.where}{group}={name} does not exist; {near}"


def _key(found: re.Match[str], error: Error) -> str:
    return error.where + no_key(found.group(1), error.known, error.options)


def _unchosen(found: re.Match[str], error: Error) -> str:
    group = found.group(1)
    return f"{group} has no option yet; give {group}=NAME. {did_you_mean('', error.options(group))}"


def _defaults(found: re.Match[str], error: Error) -> str:
    file = next((f"{g}.yaml" for g in found.groups() if g), "a file")
    return (
        f"{error.where or f'{file}: '}its `defaults` are not a list of `group: option`, each once, "
        "with `override` entries last; fix the list."
    )


def _unexpected(found: re.Match[str], error: Error) -> str:
    place = _FULL_KEY.search(error.text)
    where = f"{place.group(1)}." if place else ""
    return f"unknown key {where}{found.group(1)}; {LOOK.replace('job', 'hydra')}."


def _value(cause: OmegaConfBaseException | None, error: Error) -> str:
    """Errors that no rule matches: a value that does not fit, or an interpolation."""
    merged = _MERGED.search(error.text)
    place = _FULL_KEY.search(error.text)
    key = (getattr(cause, "full_key", None) or (place.group(1) if place else "")) or ""
    given = merged.group(1).strip() if merged else ""
    refers = value_errors.missing_key(error.text)
    if refers:
        reason = no_key(refers, error.known, error.options)
        return f"{error.where}{key or 'a value'} refers to ${{{refers}}}: {reason}"
    return error.where + value_errors.unfit(error.text, key, given)


_SWEPT = "{0} names several values; add -m to run each, or write a list: key=[a,b]."
_TWICE = (
    "{0} is chosen twice; give it once on the command line, and write `override /{0}: NAME` in the "
    "defaults of a file that changes it."
)
_Say = str | Callable[[re.Match[str], Error], str]
_RULES: tuple[tuple[re.Pattern[str], _Say], ...] = (
    (re.compile(r"Could not (?:find|load) '([^']+)'"), _option),
    (
        re.compile(r"An item is already at '(.+?)'\.\s+Either remove \+ prefix: '(.+)'"),
        "{0} is there already; drop the +: {1}.",
    ),
    (_KEY, _key),
    (
        re.compile(r"Could not delete from config\. The value of '(.+?)' is (.+) and not (.+)\."),
        "'~{0}={2}' removes nothing, because {0} is {1}; write ~{0}.",
    ),
    (_GONE, _key),
    (
        re.compile(r"Could not delete '(.+?)'\. No match"),
        "'~{0}' matches nothing that is chosen; drop it.",
    ),
    (re.compile(r"Ambiguous value for argument '(.+?)'"), _SWEPT),
    (re.compile(r"Sweep parameters '(.+?)' requires"), _SWEPT),
    (re.compile(r"Multiple values for (\S+)\."), _TWICE),
    (re.compile(r"(\S+) appears more than once in the final defaults list"), _TWICE),
    (re.compile(r"You must specify '(.+?)'"), _unchosen),
    (re.compile(r"Duplicate _self_ defined in (\S+)|Invalid defaults list in '(.+?)'"), _defaults),
    (re.compile(r"is defined before|Unsupported .* in defaults|in the subtree"), _defaults),
    (
        re.compile(r"Config (\S+) must be an OmegaConf config"),
        "{0}.yaml holds no keys; write one `key: value` on each line.",
    ),
    (
        re.compile(r"hydra\.searchpath"),
        "hydra.searchpath is given in a file, where Hydra ignores it; give it on the command line.",
    ),
    (
        re.compile(r"Unable to (?:configure|set|add)"),
        "hydra.job_logging or hydra.hydra_logging is not what Python's logging takes; drop it.",
    ),
    (re.compile(r"got an unexpected keyword argument '(\w+)'"), _unexpected),
)
