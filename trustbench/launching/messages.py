"""Messages from an arm's process to the pool, over a pipe."""

from dataclasses import dataclass

from trustbench.execution.job import ArmOutcome


@dataclass(frozen=True)
class Stage:
    """The arm has done `done` of `total` epochs or evaluators of a stage."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class Identified:
    """The arm's data has been read, so its id is known, under which its record and log are."""

    arm_id: str


@dataclass(frozen=True)
class Ended:
    """The arm's outcome; the last message of its process."""

    outcome: ArmOutcome


@dataclass(frozen=True)
class Crashed:
    """An exception that no arm should raise: a plugin that cannot be imported, or our bug."""

    reason: str


Message = Stage | Identified | Ended | Crashed
