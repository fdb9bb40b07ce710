"""Hydra's error messages as one sentence each: what was given, what is allowed, what to do."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trustbench.errors import did_you_mean
from trustbench.sweeping import method_of, not_chosen

_OPTION = re.compile(r"Could not (?:find|load) '([^']+)/([^'/]+)'")
_LISTED = re.compile(r"Available options in '[^']+':\n((?:\t.*\n?)+)")
_KEY = re.compile(r"Could not (?:override|append to config\. An item is already at) '([^']+)'")
_GONE = re.compile(r"Could not delete from config\. '([^']+)'")


def sentence(
    error: BaseException, known: Any, options: Callable[[str], Iterable[str]] = lambda _: ()
) -> str:
    """One sentence for an error of Hydra's or OmegaConf's.

    `known` is a configuration that shows which keys exist; `options` lists a config group.
    """
    text = "\n".join(str(e) for e in (error, error.__cause__) if e)
    option, key, gone = _OPTION.search(text), _KEY.search(text), _GONE.search(text)
    if option:
        group, name = option.groups()
        listed = _LISTED.search(text)
        allowed = [*(listed.group(1).split() if listed else options(group))]
        return f"{group}={name} does not exist; {did_you_mean(name, allowed)}"
    if key or gone:
        return _no_key((key or gone).group(1), known, options)  # type: ignore[union-attr]
    if "Ambiguous value for argument" in text:
        given = text.split("'")[1]
        return f"{given} names several values; add -m to run each, or write a list as key=[a,b]."
    override = getattr(error, "override", None)  # of Hydra's OverrideParseException
    if isinstance(override, str):
        return f"{override!r} is no override; write key=value, and quote odd values: key='a b'."
    return _first_paragraph(text)


def complained_keys(error: BaseException) -> list[str]:
    """The keys that `error` says do not exist."""
    return [m.group(1) for m in _KEY.finditer(str(error))]


def _no_key(key: str, known: Any, options: Callable[[str], Iterable[str]]) -> str:
    """`known` ends at the first part of the key that does not exist."""
    node, parts = known, key.split(".")
    for i, part in enumerate(parts):
        where = ".".join(parts[: i + 1])
        if not isinstance(node, Mapping):
            return f"unknown key {key}; {'.'.join(parts[:i])} is {node!r}, which has no keys."
        if part not in node:
            method = method_of(key)
            if method and i < 2:
                return not_chosen(key, *method, options(method[0]))
            return f"unknown key {where}; {did_you_mean(part, _names(node))}"
        node = node[part]
    return f"{key} cannot be set here; see `trustbench run --cfg job` for what can be."


def _names(node: Mapping[Any, Any]) -> list[str]:
    """The keys that a person may set; Hydra's own part is for those who know it."""
    return [str(k) for k in node if k not in ("hydra", "_target_")]


def _first_paragraph(text: str) -> str:
    paragraph = text.strip().split("\n\n")[0]
    lines = [line.strip() for line in paragraph.splitlines()]
    said = [x for x in lines if not x.startswith(("See http", "full_key:", "object_type="))]
    where = next((x.removeprefix("full_key: ") for x in lines if x.startswith("full_key:")), "")
    return (f"{where}: " if where else "") + " ".join(said).rstrip(".") + "."
