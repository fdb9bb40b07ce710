"""Content ids of arms, fits and evaluations: hashes of everything that changes their numbers."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from trustbench.config.arms import Arm, Chosen
from trustbench.contracts import Evaluator, Intervention

# Increased when the meaning of a hashed field changes; golden ids in the tests pin it.
ID_VERSION = 3
# Increased when a pilot's numbers or its choice change.
PILOT_VERSION = 1


def digest(content: Mapping[str, Any], length: int = 16) -> str:
    """A hex digest of sorted JSON.

    >>> digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, allow_nan=False, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def arm_content(arm: Arm, fingerprint: str, engine: str) -> dict[str, Any]:
    """The identity fields of an arm, with the resolved properties of its data and engine."""
    content: dict[str, Any] = {
        "id_version": ID_VERSION,
        "dataset": {"name": arm.dataset.name, "fingerprint": fingerprint},
        "model": _plugin(arm.model),
        "training": arm.training.content(),
        "interventions": [_plugin(i) for i in in_order(arm.interventions)],
        "control": arm.control,
        "reseeds": arm.reseeds,
        "protocol": arm.protocol.content(),
        "part": arm.part,
        "seed": arm.seed,
        "engine": engine,
    }
    # Only the rate: the last digits of its scores may differ between machines.
    return {**content, "pilot": arm.pilot.rate} if arm.pilot else content


def arm_id(arm: Arm, fingerprint: str, engine: str) -> str:
    """The id of an arm, 16 hex digits.

    Raises:
        ValueError: a pilot has yet to choose its learning rate, on which the id depends.
    """
    return digest(_decided_content(arm, fingerprint, engine))


def fit_id(arm: Arm, fingerprint: str, engine: str) -> str:
    """The id of an arm's trained models, shared by arms that differ only in deployment.

    Raises:
        ValueError: as in `arm_id`.
    """
    content = _decided_content(arm, fingerprint, engine)
    retraining = [_plugin(i) for i in in_order(arm.interventions) if i.plugin.retrains]
    protocol = arm.protocol.fit_content(arm.part)
    return digest({**content, "interventions": retraining, "protocol": protocol, "what": "fit"})


def pilot_id(arm: Arm, fingerprint: str, engine: str) -> str:
    """The id of the pilot that chooses an arm's learning rate.

    The baseline, treated arms, controls and twins of one training on the same data share it.
    """
    baseline = replace(arm, interventions=(), control="none", reseeds=1)
    baseline = replace(baseline, part="replicates", pilot=None)
    content = arm_content(baseline, fingerprint, engine)
    inclusion = {"inclusion": arm.protocol.inclusion}  # a pilot has its own replicates
    return digest({**content, "protocol": inclusion, "what": f"pilot {PILOT_VERSION}"})


def _decided_content(arm: Arm, fingerprint: str, engine: str) -> dict[str, Any]:
    if arm.undecided:
        raise ValueError("an arm whose learning rate is not chosen yet has no id")
    return arm_content(arm, fingerprint, engine)


def evaluation_id(evaluator: Chosen[Evaluator]) -> str:
    """The key of an evaluation in a record: name and a hash of its settings and version."""
    return f"{evaluator.name}-{digest(_plugin(evaluator), 8)}"


def in_order(interventions: tuple[Chosen[Intervention], ...]) -> list[Chosen[Intervention]]:
    """The canonical order of a list of interventions, in which chained hooks run.

    Sorting makes `[dpsgd,pgd_at]` and `[pgd_at,dpsgd]` the same arm.
    """
    return sorted(interventions, key=lambda i: i.name)


def _plugin(chosen: Chosen[Any]) -> dict[str, Any]:
    spec = chosen.spec()
    return spec.model_dump(include={"name", "params", "version", "fingerprints"})
