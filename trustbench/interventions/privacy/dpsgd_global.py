"""DPSGD-Global: scales all gradients by one factor and discards those above a threshold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, Problem, Read, Schedule
from trustbench.training.clipping import ClipAndNoise, calibrated, poisson_run
from trustbench.training.private_settings import NoiseBudget, NoisySchedule


@dataclass(frozen=True)
class Threshold:
    """What DPSGD-Global adds to the settings of DP-SGD."""

    z: Annotated[float, Field(gt=0)] = 15.0


@dataclass(frozen=True)
class DPSGDGlobal(NoisySchedule, Threshold, NoiseBudget):
    """DP-SGD in which small gradients keep their direction and relative size.

    A gradient of norm at most Z (`z`) is scaled by C/Z (C: `max_grad_norm`); a larger one is
    discarded. One example therefore adds at most C to the sum, and the accounting is that of
    `dpsgd`. Gradients shrink by C/Z, so the learning rate has to grow by about Z/C. Z is fixed:
    choose it above almost all norms, but without looking at the members' gradients.

    `noise`: `seeded` draws from a named stream, so that an arm can be repeated (for research: the
    guarantee is void for anybody who knows the seed); `system` draws from the operating system's
    entropy, so that no two runs agree and nobody can subtract the noise.

    Reference: Bu et al. 2021, arXiv 2106.07830 (global clipping); Esipova et al. 2023, arXiv
    2206.07737 (DPSGD-Global).
    """

    lr: Annotated[float, Field(gt=0)] | None = 2.0

    reference: ClassVar[str] = "Bu et al. 2021, arXiv 2106.07830; Esipova et al. 2023, 2206.07737"
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "lr": (1.0, 2.0, 4.0, 8.0),
        "max_grad_norm": (0.5, 1.0, 2.0),
    }

    @override
    def declares(self, problem: Problem, schedule: Schedule, n_members: int) -> tuple[Read, ...]:
        return (self.gradient(schedule, n_members).read,)

    @override
    def gradient(self, schedule: Schedule, n_members: int) -> "ScaleOrDiscard":
        run = poisson_run(schedule, n_members, self)
        sigma, delta = calibrated(run, n_members, self)
        return ScaleOrDiscard(run, self.max_grad_norm, sigma, delta, self.noise, z=self.z)


@dataclass
class ScaleOrDiscard(ClipAndNoise):
    """Scales by bound/z or discards, sums, adds N(0, (sigma bound)²), divides by expected size."""

    z: float = 1.0

    def coefficients(self, norms: Tensor, part: slice) -> Tensor:
        """bound/z where the norm is at most z, else 0, [R, B]."""
        return (norms <= self.z).to(norms.dtype) * (self.bound / self.z)

    def facts(self) -> Mapping[str, Fact]:
        """The facts of DP-SGD, and the threshold."""
        return {**super().facts(), "z": self.z}
