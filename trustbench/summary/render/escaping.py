"""Text restricted to its line: names from data or configurations are cleaned before display.

A name with a line feed could forge a line of ours, and control characters can move a cursor,
reverse text or rename a terminal.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from trustbench.errors import printable

T = TypeVar("T")
TEXTLESS = frozenset({bool, float, int, type(None)})
_HIDDEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def visible(line: str) -> str:
    r"""The line without characters that move a cursor, reverse text or end the line.

    >>> print(visible("a\x1b[31m b\nc"))
    a�[31m b�c
    """
    return printable(line)


def one_line(text: str) -> str:
    r"""Text on one line: white space becomes a blank, unprintable characters a mark.

    >>> print(one_line("a\n b\x1b"))
    a b�
    """
    return visible(" ".join(text.split()))


def neutral(value: T) -> T:
    r"""The same dataclasses, tuples and mappings with every text on one line, printable.

    >>> neutral({"a": ("x\ny", 1.0)})
    {'a': ('x y', 1.0)}
    """
    return _neutral(value)  # type: ignore[no-any-return]


def _neutral(value: Any) -> Any:
    if type(value) in TEXTLESS:  # nearly all values of a table: a thousand arms have a million
        return value
    if isinstance(value, Enum) or not isinstance(value, str | tuple | Mapping):
        return _fields(value) if dataclasses.is_dataclass(value) else value
    if isinstance(value, str):
        return value if value.isprintable() else one_line(value)
    if isinstance(value, Mapping):
        return {_neutral(k): _neutral(v) for k, v in value.items()}
    inner = [_neutral(v) for v in value]
    return type(value)(*inner) if hasattr(value, "_fields") else tuple(inner)


def _fields(value: Any) -> Any:
    """A dataclass with neutral fields; the same object if nothing changes."""
    old = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    new = {name: _neutral(v) for name, v in old.items()}
    changed = {name: v for name, v in new.items() if v != old[name]}
    return dataclasses.replace(value, **changed) if changed else value


def json_text(document: Any) -> str:
    r"""A document as JSON with a final line feed; refuses NaN and infinity.

    Characters that control a terminal are escaped, so that the file is safe to view.

    >>> print(json_text({"a": "é\x9b"}), end="")
    {
     "a": "é\u009b"
    }
    """
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    return _HIDDEN.sub(lambda m: f"\\u{ord(m[0]):04x}", text) + "\n"
