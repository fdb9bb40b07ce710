"""When two values of a configuration are the same."""

import json
from typing import Any


def canonical(value: Any) -> str:
    """A text that is equal exactly when two JSON values are; 3 and 3.0 are equal."""
    same = json.loads(json.dumps(value), parse_int=float)
    return json.dumps(same, sort_keys=True, separators=(",", ":"))
