"""DP-SGD with a target epsilon: clip every example's gradient, add Gaussian noise, account."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from trustbench.contracts import Intervention, Problem, Read, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.seeding import NoiseSource
from trustbench.methods.privacy.accounting import calibration_version
from trustbench.training.clipping import (
    ClipAndNoise,
    calibrated,
    poisson_run,
    refuse_two_budgets,
)


@dataclass(frozen=True)
class DPSGD(Intervention):
    """Canonical row P. Give `epsilon` or `noise_multiplier`, and null for the other.

    `delta` null means n^-1.1 for n members. The learning rate, batch size and epochs are the
    method's own (null: those of the training config): DP-SGD with a baseline's schedule is a
    straw man, as clipped gradients are far smaller.

    `noise`: `seeded` draws from a named stream, so that an arm can be repeated (for research: the
    guarantee is void for whoever knows the seed); `system` from the operating system's
    entropy, so that no two runs agree and nothing can be taken away again.

    Reference: Abadi et al. 2016, arXiv 1607.00133, Algorithm 1; Poisson sampling as accounted.
    """

    epsilon: Annotated[float, Field(gt=0)] | None = 3.0
    noise_multiplier: Annotated[float, Field(gt=0)] | None = None
    delta: Annotated[float, Field(gt=0, lt=1)] | None = None
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    lr: Annotated[float, Field(gt=0)] | None = 1.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    batch_size: Annotated[int, Field(ge=1)] | None = 256
    epochs: Annotated[int, Field(ge=1)] | None = 30
    noise: NoiseSource = "seeded"

    aspect: ClassVar[Aspect] = Aspect.PRIVACY
    reference: ClassVar[str] = "Abadi et al. 2016, arXiv 1607.00133"
    dose: ClassVar[tuple[str, ...]] = ("epsilon",)
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "lr": (0.5, 1.0, 2.0, 4.0),
        "max_grad_norm": (0.5, 1.0, 2.0),
    }
    later: ClassVar[frozenset[str]] = frozenset({"noise"})

    def version_of_settings(self) -> int:
        """Later where the noise that a budget is calibrated to has changed."""
        return self.version + calibration_version(self.epsilon, self.delta) - 1

    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        """An impossible budget raises ConfigError, as it is the user's to fix."""
        refuse_two_budgets("dpsgd", self)
        return None

    def declares(self, problem: Problem, schedule: Schedule, n_members: int) -> tuple[Read, ...]:
        """The noisy sums of all planned steps."""
        return (self.gradient(schedule, n_members).read,)

    def gradient(self, schedule: Schedule, n_members: int) -> ClipAndNoise:
        """The rule, with its noise calibrated to the steps that will be run."""
        run = poisson_run(schedule, n_members, self)
        sigma, delta = calibrated(run, n_members, self)
        return ClipAndNoise(run, self.max_grad_norm, sigma, delta, self.noise)
