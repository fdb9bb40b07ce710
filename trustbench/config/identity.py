"""Content ids of arms, fits and evaluations: hashes of everything that changes their numbers."""

from dataclasses import replace
from typing import Any

from trustbench.config.arm_labels import spec_of
from trustbench.config.arms import Arm, Chosen
from trustbench.contracts import Evaluator, Intervention
from trustbench.store import identity
from trustbench.store.identity import digest

# Increased when a pilot's numbers or its choice change.
PILOT_VERSION = 1


def arm_content(arm: Arm, fingerprint: str, engine: str) -> dict[str, Any]:
    """The identity fields of an arm, with the resolved properties of its data and engine."""
    return identity.arm_content(
        spec_of(arm, engine),
        fingerprint,
        reseeds=arm.reseeds,
        part=arm.part,
        rate=arm.pilot.rate if arm.pilot else None,
    )


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
    return identity.evaluation_id(evaluator.spec())


def in_order(interventions: tuple[Chosen[Intervention], ...]) -> list[Chosen[Intervention]]:
    """The canonical order of a list of interventions, in which chained hooks run.

    Sorting makes `[dpsgd,pgd_at]` and `[pgd_at,dpsgd]` the same arm.
    """
    return sorted(interventions, key=lambda i: i.name)


def _plugin(chosen: Chosen[Any]) -> dict[str, Any]:
    return identity.plugin_content(chosen.spec())
