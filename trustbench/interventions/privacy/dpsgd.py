"""DP-SGD with a target epsilon: clips each example's gradient, adds Gaussian noise, accounts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

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
    """Canonical row P. Give either `epsilon` or `noise_multiplier`, and set the other to null.

    `delta` null means n^-1.1 for n members. The method has its own learning rate, batch size and
    epochs (null: those of the training config): DP-SGD with a baseline's schedule is a straw man,
    since clipped gradients are far smaller.

    `noise`: `seeded` draws from a named stream, so that an arm can be repeated (for research: the
    guarantee is void for anybody who knows the seed); `system` draws from the operating system's
    entropy, so that no two runs agree and nobody can subtract the noise.

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

    @override
    def version_of_settings(self) -> int:
        return self.version + calibration_version(self.epsilon, self.delta) - 1

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        refuse_two_budgets("dpsgd", self)
        return None

    @override
    def declares(self, problem: Problem, schedule: Schedule, n_members: int) -> tuple[Read, ...]:
        return (self.gradient(schedule, n_members).read,)

    @override
    def gradient(self, schedule: Schedule, n_members: int) -> ClipAndNoise:
        run = poisson_run(schedule, n_members, self)
        sigma, delta = calibrated(run, n_members, self)
        return ClipAndNoise(run, self.max_grad_norm, sigma, delta, self.noise)
