"""DP-SGD with a target epsilon: clip every example's gradient, add Gaussian noise, account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trustbench.aspects import Aspect
from trustbench.contracts import Fact, GradientRule, Intervention, Problem, Schedule
from trustbench.errors import ConfigError
from trustbench.training import accounting
from trustbench.training.sampling import sample_rate, steps_per_epoch


@dataclass(frozen=True)
class DPSGD(Intervention):
    """Canonical row P. Give `epsilon` or `noise_multiplier`, and null for the other.

    `delta` null means n^-1.1 for n members. The learning rate, batch size and epochs are the
    method's own (null: those of the training config): DP-SGD with a baseline's schedule is a
    straw man, as clipped gradients are far smaller.

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

    aspect: ClassVar[Aspect] = Aspect.PRIVACY
    reference: ClassVar[str] = "Abadi et al. 2016, arXiv 1607.00133"
    dose: ClassVar[tuple[str, ...]] = ("epsilon",)

    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        """None; an impossible budget is the user's to mend and raises ConfigError."""
        if (self.epsilon is None) == (self.noise_multiplier is None):
            raise ConfigError(
                f"intervention.dpsgd: epsilon={self.epsilon} and noise_multiplier="
                f"{self.noise_multiplier} are given; give one of them and null for the other."
            )
        return None

    def gradient(self, schedule: Schedule, n_members: int) -> GradientRule:
        """The rule, with its noise calibrated to the steps that will be run."""
        own = replace(
            schedule,
            sampling="poisson",
            momentum=self.momentum,
            lr=self.lr or schedule.lr,
            batch_size=min(self.batch_size or schedule.batch_size, n_members),
            epochs=self.epochs or schedule.epochs,
        )
        rate, steps = sample_rate(own, n_members), steps_per_epoch(own, n_members) * own.epochs
        delta = self.delta or accounting.default_delta(n_members)
        sigma = self.noise_multiplier
        if sigma is None:
            assert self.epsilon is not None
            sigma = accounting.noise_for(self.epsilon, rate, steps, delta)
        return ClipAndNoise(own, self.max_grad_norm, sigma, delta, rate, steps, rate * n_members)


@dataclass
class ClipAndNoise:
    """Clip to `bound`, sum, add N(0, (sigma bound)²), divide by the expected batch size."""

    schedule: Schedule
    bound: float
    sigma: float
    delta: float
    rate: float
    steps: int
    expected_batch: float
    state: dict[str, Tensor] = field(default_factory=dict)

    def coefficients(self, norms: Tensor, part: slice) -> Tensor:
        """min(1, bound / norm), [R, B]."""
        return (self.bound / (norms + 1e-6)).clamp(max=1.0)

    def update(
        self, total: Mapping[str, Tensor], generators: Sequence[torch.Generator]
    ) -> dict[str, Tensor]:
        """Noise from one stream per replicate, laid over the parameters in order of their names.

        Engines and checkpoints name parameters in different orders; the noise must not notice.
        """
        names = sorted(total)
        sizes = [total[n][0].numel() for n in names]
        some = total[names[0]]
        noise = torch.empty(len(generators), sum(sizes), dtype=some.dtype, device=some.device)
        for row, generator in zip(noise, generators, strict=True):
            row.normal_(generator=generator)
        scale = self.sigma * self.bound
        return {
            n: torch.add(total[n], part.view_as(total[n]), alpha=scale).div_(self.expected_batch)
            for n, part in zip(names, noise.split(sizes, dim=1), strict=True)
        }

    def facts(self) -> Mapping[str, Fact]:
        """Epsilon of all planned steps, by the accountant named; RDP beside it."""
        value, accountant = accounting.best_epsilon(self.sigma, self.rate, self.steps, self.delta)
        return {
            "epsilon": value,
            "epsilon_rdp": accounting.epsilon("rdp", self.sigma, self.rate, self.steps, self.delta),
            "accountant": accountant,
            "delta": self.delta,
            "noise_multiplier": self.sigma,
            "max_grad_norm": self.bound,
            "sample_rate": self.rate,
            "steps": self.steps,
            "sampling": "poisson",
            "dp_noise": "seeded",
        }
