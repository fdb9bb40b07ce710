"""The noise half of DP-SGD: adds its noise to unclipped gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trustbench.contracts import Fact, GradientRule, Schedule
from trustbench.training.clipping import ClipAndNoise, calibrated, poisson_run
from trustbench.training.private_settings import NoiseBudget, NoisySchedule


@dataclass(frozen=True)
class NoiseOnly(NoisySchedule, NoiseBudget):
    """An ablation of `dpsgd` without any guarantee: the effect of its noise alone.

    `epsilon` determines the noise: that of `dpsgd` with the same fields, with standard deviation
    sigma x max_grad_norm and from the same stream. Without clipping one example may move the sum by
    any amount, so the method itself has no epsilon.

    `noise`: `seeded` draws from a named stream, so that an arm can be repeated (for research: the
    guarantee is void for anybody who knows the seed); `system` draws from the operating system's
    entropy, so that no two runs agree and nobody can subtract the noise.

    Reference: Tran et al. 2021, arXiv 2106.02782 (both parts of DP-SGD's unfairness);
    Tursynbek et al. 2021, arXiv 2012.07828 (of its robustness).
    """

    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Abadi et al. 2016, arXiv 1607.00133; Tran et al. 2021, 2106.02782"

    def gradient(self, schedule: Schedule, n_members: int) -> GradientRule:
        """Returns a rule that sums unclipped gradients and adds the noise of DP-SGD."""
        run = poisson_run(schedule, n_members, self)
        sigma, delta = calibrated(run, n_members, self)
        return Noise(run, self.max_grad_norm, sigma, delta, self.noise)


class Noise(ClipAndNoise):
    """Sums, adds N(0, (sigma bound)²), and divides by the expected batch size."""

    def coefficients(self, norms: Tensor, part: slice) -> Tensor:
        """One for every example, [R, B]."""
        return torch.ones_like(norms)

    def facts(self) -> Mapping[str, Fact]:
        """The noise and the sampling; without a guarantee there is no epsilon."""
        return {
            "guarantee": "none: gradients are not clipped",
            "noise_multiplier": self.sigma,
            "noise_std": self.sigma * self.bound,
            **self.sampling_facts(),
            "dp_noise": self.source,
        }
