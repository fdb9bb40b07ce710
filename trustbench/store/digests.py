"""A digest of an arm's numbers, for comparing two runs of it bit by bit."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from trustbench.store.records import Record

TIMING = frozenset({"seconds", "train_seconds"})
"""Keys of a record, at any depth, that hold durations."""
ELSEWHERE = frozenset({"environment", "traceback", "arrays_sha256"})
"""Fields of a record that say where it was computed: versions, processor, paths, and the bytes into
which this zlib packs the arrays."""


def values_digest(record: Record, arrays: Mapping[str, np.ndarray[Any, Any]]) -> str:
    """64 hex digits over a record's values, without timing and environment, and its arrays.

    Two runs have equal digests exactly if all measurements, pseudo values, facts, statuses and
    stored arrays are the same bits. The order in which evaluations or arrays were added does not
    count.
    """
    content = _timeless(record.model_dump(mode="json", exclude=set(ELSEWHERE)))
    h = hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode())
    for part in _parts(arrays):
        h.update(part)
    return h.hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _timeless(v) for k, v in value.items() if k not in TIMING}
    if isinstance(value, list):
        return [_timeless(v) for v in value]
    return value


def _parts(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[bytes]:
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        yield json.dumps([name, array.dtype.str, list(array.shape)]).encode()
        yield array.tobytes()
