"""Equality of configuration values."""

import json
from typing import Any

_AS_FLOATS = json.JSONDecoder(parse_int=float)
_SORTED = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def canonical(value: Any) -> str:
    """A text that is equal exactly if two JSON values are; 3 and 3.0 are equal."""
    return _SORTED.encode(_AS_FLOATS.decode(json.dumps(value)))
