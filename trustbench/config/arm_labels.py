"""Arms as specified in records, and their labels among the other arms of their sweep."""

from collections.abc import Mapping
from dataclasses import replace

from trustbench.config.arms import Arm
from trustbench.store.labels import label, labels
from trustbench.store.schema import ArmSpec


def spec_of(arm: Arm, engine: str | None = None) -> ArmSpec:
    """A record's description of an arm; by default with the requested engine."""
    return ArmSpec(
        dataset=arm.dataset.spec(),
        model=arm.model.spec(),
        training=arm.training.content(),
        interventions=[i.spec() for i in arm.interventions],
        control=arm.control,
        protocol=arm.protocol.content(),
        seed=arm.seed,
        engine=engine or arm.engine,
    )


def labelled(arms: Mapping[str, Arm]) -> dict[str, Arm]:
    """The arms of a sweep, by name, each with its unique label."""
    texts = labels([spec_of(arm) for arm in arms.values()])
    return {k: replace(a, label=t) for (k, a), t in zip(arms.items(), texts, strict=True)}


def label_of(arm: Arm) -> str:
    """The label of the arm in its sweep, or on its own if it belongs to none."""
    return arm.label or label(spec_of(arm))
