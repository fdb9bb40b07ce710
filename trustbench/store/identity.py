"""Content ids of arms and evaluations, from what a record says of them."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from trustbench.store.schema import ArmSpec, PluginSpec, Record

# Increased when the meaning of a hashed field changes; golden ids in the tests pin it.
ID_VERSION = 3


def digest(content: Mapping[str, Any], length: int = 16) -> str:
    """A hex digest of sorted JSON.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, allow_nan=False, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def arm_content(
    arm: ArmSpec, fingerprint: str, *, reseeds: int, part: str, rate: float | None
) -> dict[str, Any]:
    """The identity fields of an arm, with the resolved properties of its data and engine.

    `rate` is the learning rate that a pilot chose; None without one.
    """
    content: dict[str, Any] = {
        "id_version": ID_VERSION,
        "dataset": {"name": arm.dataset.name, "fingerprint": fingerprint},
        "model": plugin_content(arm.model),
        "training": arm.training,
        "interventions": [
            plugin_content(i) for i in sorted(arm.interventions, key=lambda i: i.name)
        ],
        "control": arm.control,
        "reseeds": reseeds,
        "protocol": arm.protocol,
        "part": part,
        "seed": arm.seed,
        "engine": arm.engine,
    }
    # Only the rate: the last digits of its scores may differ between machines.
    return content if rate is None else {**content, "pilot": rate}


def plugin_content(spec: PluginSpec) -> dict[str, Any]:
    """The identity fields of a plugin."""
    return spec.model_dump(include={"name", "params", "version", "fingerprints"})


def evaluation_id(spec: PluginSpec) -> str:
    """The key of an evaluation in a record: name and a hash of its settings and version."""
    return f"{spec.name}-{digest(plugin_content(spec), 8)}"


def wrong_name(record: Record) -> str | None:
    """What a record calls something else than its own content says; None if all names fit."""
    if record.problem is None:
        return "it does not say which data it is about"
    rate = record.pilot.rate if record.pilot else None
    found = digest(
        # the models of other draws and those that attack have no records
        arm_content(record.arm, record.problem.fingerprint, reseeds=1, part="replicates", rate=rate)
    )
    if found != record.id:
        return f"it describes arm {found}, not {record.id}"
    wrong = [k for k, e in record.evaluations.items() if evaluation_id(e.evaluator) != k]
    return f"its evaluation {wrong[0]} is of another evaluator or other settings" if wrong else None
