"""The settings of DP-SGD, its variants and its ablations: the budget and their own schedule.

Records keep the order of a dataclass's fields, and a variant's own fields stand between the budget
and the schedule: `class Variant(NoisySchedule, VariantFields, NoiseBudget)`.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from trustbench.contracts import Intervention
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.seeding import NoiseSource
from trustbench.contracts.steps import MOST_EPOCHS


@dataclass(frozen=True)
class OwnSchedule:
    """The method's own schedule; null: the value of the training config."""

    lr: Annotated[float, Field(gt=0)] | None = 1.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    batch_size: Annotated[int, Field(ge=1)] | None = 256
    epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS)] | None = 30


@dataclass(frozen=True)
class NoisySchedule(OwnSchedule):
    """The same, with the source of the noise of each step."""

    noise: NoiseSource = "seeded"


@dataclass(frozen=True)
class Budget:
    """A budget, or the noise itself: `epsilon` or `noise_multiplier`; the other is null."""

    epsilon: Annotated[float, Field(gt=0)] | None = 3.0
    noise_multiplier: Annotated[float, Field(gt=0)] | None = None
    delta: Annotated[float, Field(gt=0, lt=1)] | None = None

    def __post_init__(self) -> None:
        """Refuses two budgets and none."""
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise ValueError(
                f"epsilon={self.epsilon} and noise_multiplier={self.noise_multiplier} are given; "
                "give one of them and set the other to null."
            )


@dataclass(frozen=True)
class BoundedGradients(Intervention):
    """A method of row P that bounds the norm of one example's gradient."""

    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0

    aspect: ClassVar[Aspect] = Aspect.PRIVACY


@dataclass(frozen=True)
class NoiseBudget(BoundedGradients, Budget):
    """The same with noise, which the budget determines."""

    dose: ClassVar[tuple[str, ...]] = ("epsilon",)
