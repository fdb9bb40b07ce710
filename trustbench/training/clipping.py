"""What DP-SGD, its ablations and its variants share: Poisson batches, clipping, noise, facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from trustbench.contracts import Fact, PoissonGaussian, Read, Schedule
from trustbench.contracts.seeding import NoiseSource, system_normals
from trustbench.errors import ConfigError
from trustbench.methods.privacy import accounting
from trustbench.methods.random_numbers import moved
from trustbench.training.private_settings import NoiseBudget, OwnSchedule
from trustbench.training.sampling import sample_rate, steps_per_epoch


class PoissonRun(NamedTuple):
    """Poisson-sampled training as an accountant sees it."""

    schedule: Schedule
    rate: float
    steps: int
    expected_batch: float


def poisson_run(schedule: Schedule, n_members: int, own: OwnSchedule) -> PoissonRun:
    """Returns the training run on `n_members` rows under a method's own schedule."""
    schedule = replace(
        schedule,
        sampling="poisson",
        momentum=own.momentum,
        lr=own.lr or schedule.lr,
        batch_size=min(own.batch_size or schedule.batch_size, n_members),
        epochs=own.epochs or schedule.epochs,
    )
    rate = sample_rate(schedule, n_members)
    steps = steps_per_epoch(schedule, n_members) * schedule.epochs
    return PoissonRun(schedule, rate, steps, rate * n_members)


def calibrated(run: PoissonRun, n_members: int, own: NoiseBudget) -> tuple[float, float]:
    """Returns (sigma, delta): the given noise multiplier, or the one that spends `epsilon`.

    Raises:
        ConfigError: delta permits publishing a member, or epsilon is unreachable.
    """
    delta = own.delta or accounting.default_delta(n_members)
    if delta * n_members >= 1:
        raise ConfigError(
            f"delta={delta:g} with {n_members} members: a delta of 1/{n_members} or more permits "
            "publishing one member's row outright, so it guarantees nothing; give a smaller "
            f"delta, or null for members^-1.1 (1000 members: {accounting.default_delta(1000):.1e})."
        )
    if own.noise_multiplier is not None:
        return own.noise_multiplier, delta
    assert own.epsilon is not None
    return accounting.noise_for(own.epsilon, run.rate, run.steps, delta), delta


@dataclass
class ClipAndNoise:
    """Clips to `bound`, sums, adds N(0, (sigma bound)²), divides by the expected batch size.

    Variants override `coefficients`. While coefficient times norm never exceeds `bound`, one
    example changes the sum by at most `bound`, and `read` holds.
    """

    run: PoissonRun
    bound: float
    sigma: float
    delta: float
    source: NoiseSource = "seeded"
    state: dict[str, Tensor] = field(default_factory=dict)
    schedule: Schedule = field(init=False)

    def __post_init__(self) -> None:
        """Takes the method's own schedule from the loop."""
        self.schedule = self.run.schedule

    @property
    def steps(self) -> int:
        """The number of noisy sums released."""
        return self.run.steps

    @property
    def expected_batch(self) -> float:
        """The mean size of a Poisson batch; dividing by the actual size would leak it."""
        return self.run.expected_batch

    @property
    def released_sigma(self) -> float:
        """The noise multiplier of everything that one step releases."""
        return self.sigma

    @property
    def read(self) -> Read:
        """All planned steps as one entry of the ledger; a variant without a bound has none."""
        mechanism = PoissonGaussian(self.released_sigma, self.run.rate, self.run.steps)
        return Read("members", "clipped gradients", "training", mechanism, self.delta, self.source)

    def coefficients(self, norms: Tensor, part: slice) -> Tensor:
        """min(1, bound / norm), [R, B]."""
        return (self.bound / (norms + 1e-6)).clamp(max=1.0)

    def update(
        self, total: Mapping[str, Tensor], generators: Sequence[torch.Generator]
    ) -> dict[str, Tensor]:
        """Adds noise from one stream per replicate, given to the parameters in order of name.

        Engines and checkpoints order parameters differently; the noise must not depend on that.
        """
        if not self.sigma:
            return {n: t / self.expected_batch for n, t in total.items()}
        names = sorted(total)
        sizes = [total[n][0].numel() for n in names]
        noise = self.normals(generators, sum(sizes), total[names[0]])
        scale = self.sigma * self.bound
        return {
            n: torch.add(total[n], part.view_as(total[n]), alpha=scale).div_(self.expected_batch)
            for n, part in zip(names, noise.split(sizes, dim=1), strict=True)
        }

    def normals(self, generators: Sequence[torch.Generator], count: int, like: Tensor) -> Tensor:
        """`count` standard normal numbers per replicate, [R, count]; system noise uses no seed."""
        shape = len(generators), count
        if self.source == "system":
            every = torch.from_numpy(system_normals(shape[0] * count))
            return moved(every.view(shape).to(like.dtype), like.device)
        noise = torch.empty(shape, dtype=like.dtype)
        for row, generator in zip(noise, generators, strict=True):
            row.normal_(generator=generator)
        return moved(noise, like.device)

    def facts(self) -> Mapping[str, Fact]:
        """Noise, bound and sampling; the ledger derives the guarantee."""
        return {
            "noise_multiplier": self.sigma,
            "max_grad_norm": self.bound,
            **self.sampling_facts(),
            "dp_noise": self.source,
        }

    def sampling_facts(self) -> dict[str, Fact]:
        """How members are sampled, without any guarantee."""
        return {"sample_rate": self.run.rate, "steps": self.run.steps, "sampling": "poisson"}
