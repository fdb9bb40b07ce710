"""DP-SGD with a target epsilon: clips each example's gradient, adds Gaussian noise, accounts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from trustbench.contracts import Problem, Read, Schedule
from trustbench.training.clipping import ClipAndNoise, calibrated, poisson_run
from trustbench.training.private_settings import NoiseBudget, NoisySchedule


@dataclass(frozen=True)
class DPSGD(NoisySchedule, NoiseBudget):
    """Canonical row P. Give either `epsilon` or `noise_multiplier`, and set the other to null.

    `delta` null means n^-1.1 for n members. The method has its own learning rate, batch size and
    epochs (null: those of the training config): DP-SGD with a baseline's schedule is a straw man,
    since clipped gradients are far smaller.

    `noise`: `seeded` draws from a named stream, so that an arm can be repeated (for research: the
    guarantee is void for anybody who knows the seed); `system` draws from the operating system's
    entropy, so that no two runs agree and nobody can subtract the noise.

    Reference: Abadi et al. 2016, arXiv 1607.00133, Algorithm 1; Poisson sampling as accounted.
    """

    reference: ClassVar[str] = "Abadi et al. 2016, arXiv 1607.00133"
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "lr": (0.5, 1.0, 2.0, 4.0),
        "max_grad_norm": (0.5, 1.0, 2.0),
    }

    @override
    def declares(self, problem: Problem, schedule: Schedule, n_members: int) -> tuple[Read, ...]:
        return (self.gradient(schedule, n_members).read,)

    @override
    def gradient(self, schedule: Schedule, n_members: int) -> ClipAndNoise:
        run = poisson_run(schedule, n_members, self)
        sigma, delta = calibrated(run, n_members, self)
        return ClipAndNoise(run, self.max_grad_norm, sigma, delta, self.noise)
