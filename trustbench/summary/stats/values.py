"""Equality of configuration values."""

import json
from typing import Any


def canonical(value: Any) -> str:
    """A text that is equal exactly if two JSON values are; 3 and 3.0 are equal."""
    same = json.loads(json.dumps(value), parse_int=float)
    return json.dumps(same, sort_keys=True, separators=(",", ":"))
