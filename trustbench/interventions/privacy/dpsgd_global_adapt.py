"""DPSGD-Global-Adapt: one scale for almost all gradients, privately adapted to their norms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, Problem, Read, Schedule
from trustbench.contracts.seeding import sub_stream
from trustbench.errors import ConfigError
from trustbench.methods.random_numbers import moved
from trustbench.training.clipping import ClipAndNoise, calibrated, poisson_run
from trustbench.training.private_settings import NoiseBudget, NoisySchedule


@dataclass(frozen=True)
class AdaptiveThreshold:
    """What DPSGD-Global-Adapt adds to the settings of DP-SGD."""

    z0: Annotated[float, Field(gt=0)] = 10.0
    eta_z: Annotated[float, Field(gt=0, lt=1)] = 0.1
    tau: Annotated[float, Field(gt=0)] = 1.0
    sigma_bits: Annotated[float, Field(gt=0)] = 10.0


@dataclass(frozen=True)
class DPSGDGlobalAdapt(NoisySchedule, AdaptiveThreshold, NoiseBudget):
    """DP-SGD that scales instead of clipping, with a threshold that follows the gradient norms.

    A gradient of norm at most Z is scaled by C/Z (C: `max_grad_norm`), a larger one is clipped to
    C. After each step Z grows by the factor exp(b - eta_z), where b is the noisy share of the batch
    whose norm exceeds tau Z. A share of about eta_z thus stays above tau Z. Z starts at `z0` and
    never falls below C, where the rule equals DP-SGD's. Gradients shrink by C/Z, so the learning
    rate is larger than DP-SGD's.

    `epsilon` (or `noise_multiplier` for the gradients alone) includes the counts: see ScaleAndClip.
    Two things differ from the published code: it divides by the true batch size, and it accounts
    for counts and gradients of one batch as if they came from two.

    `noise`: `seeded` draws from a named stream, so that an arm can be repeated (for research: the
    guarantee is void for anybody who knows the seed); `system` draws from the operating system's
    entropy, so that no two runs agree and nobody can subtract the noise.

    Reference: Esipova et al. 2023, arXiv 2206.07737, Algorithm 1.
    """

    lr: Annotated[float, Field(gt=0)] | None = 1.5

    version: ClassVar[int] = 2
    reference: ClassVar[str] = "Esipova et al. 2023, arXiv 2206.07737"
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "lr": (0.75, 1.5, 3.0, 6.0),
        "max_grad_norm": (0.5, 1.0, 2.0),
    }

    @override
    def declares(self, problem: Problem, schedule: Schedule, n_members: int) -> tuple[Read, ...]:
        return (self.gradient(schedule, n_members).read,)

    def gradient(self, schedule: Schedule, n_members: int) -> "ScaleAndClip":
        """Returns the rule; a given epsilon is spent by counts and gradients together."""
        run = poisson_run(schedule, n_members, self)
        sigma, delta = calibrated(run, n_members, self)
        if self.noise_multiplier is None:
            sigma = without_counts(sigma, self.sigma_bits)
        return ScaleAndClip(
            run,
            self.max_grad_norm,
            sigma,
            delta,
            self.noise,
            z0=max(self.z0, self.max_grad_norm),
            eta_z=self.eta_z,
            tau=self.tau,
            sigma_bits=self.sigma_bits,
        )


def without_counts(joint: float, sigma_bits: float) -> float:
    """The gradients' noise multiplier that, with that of the counts, gives the joint one.

    >>> round(without_counts(2.0, 10.0), 4)
    2.0412
    """
    if joint >= sigma_bits:
        raise ConfigError(
            f"intervention.dpsgd_global_adapt: sigma_bits={sigma_bits} alone spends 99 % or "
            f"more of the budget, which needs noise of {joint:.3g}; raise sigma_bits, or epsilon."
        )
    return float((joint**-2 - sigma_bits**-2) ** -0.5)


@dataclass
class ScaleAndClip(ClipAndNoise):
    """Each step releases the noisy sum of scaled gradients and a noisy count of large norms.

    Sensitivity: an example's coefficient is bound / max(norm, Z), so it adds at most `bound` to the
    sum and at most 1 to the count. In units of their noise the pair moves by at most sqrt(sigma^-2
    + sigma_bits^-2), and both are computed from one Poisson batch: a step is one subsampled
    Gaussian of noise multiplier (sigma^-2 + sigma_bits^-2)^-1/2 (as in Andrew et al. 2021, arXiv
    1905.03871, Theorem 1). Z depends on earlier releases only.

    `state["Z"]` is the threshold of every replicate, [R].
    """

    z0: float = 1.0
    eta_z: float = 0.1
    tau: float = 1.0
    sigma_bits: float = 10.0
    _large: list[Tensor] = field(default_factory=list, init=False, repr=False)
    _seeds: list[int] = field(default_factory=list, init=False, repr=False)
    _streams: list[torch.Generator] = field(default_factory=list, init=False, repr=False)

    @property
    def released_sigma(self) -> float:
        """The noise multiplier of gradients and count together."""
        return float((self.sigma**-2 + self.sigma_bits**-2) ** -0.5)

    def coefficients(self, norms: Tensor, part: slice) -> Tensor:
        """C / max(norm, Z), [R', B]; records how many norms exceed tau Z, [R'].

        Padding has norm 0, which never exceeds it.
        """
        Z = self.state["Z"][part].unsqueeze(1) if self.state else torch.full_like(norms, self.z0)
        self._large.append((norms > self.tau * Z).sum(1))
        return self.bound / torch.maximum(norms * (1 + 1e-6), Z)

    def update(
        self, total: Mapping[str, Tensor], generators: Sequence[torch.Generator]
    ) -> dict[str, Tensor]:
        """DP-SGD's update, from the same noise; then the noisy count moves Z."""
        count, self._large = torch.cat(self._large), []
        if len(count) != len(generators):
            raise ValueError(f"norms of {len(count)} replicates, noise for {len(generators)}")
        like = next(iter(total.values()))
        noise = self._count_noise(generators, like)
        Z = self.state.get("Z", torch.full_like(noise, self.z0))
        share = (count + self.sigma_bits * noise) / self.expected_batch
        self.state["Z"] = (Z * (share - self.eta_z).exp()).clamp(min=self.bound)
        return super().update(total, generators)

    def _count_noise(self, generators: Sequence[torch.Generator], like: Tensor) -> Tensor:
        """One standard normal number per replicate, [R], from separate streams or from the system.

        The given generators seed these streams and stay reserved for the parameters: replicate r
        adds the same noise to them as under `dpsgd`.
        """
        if self.source == "system":
            return self.normals(generators, 1, like)[:, 0]
        seeds = [g.initial_seed() for g in generators]
        if self._seeds != seeds:  # a new epoch
            self._seeds = seeds
            self._streams = [sub_stream(g, "counts") for g in generators]
        drawn = torch.cat([torch.randn(1, generator=g) for g in self._streams])
        return moved(drawn.to(like.dtype), like.device)

    def facts(self) -> Mapping[str, Fact]:
        """The facts of DP-SGD for both releases, and the final threshold (mean of replicates)."""
        Z = float(self.state["Z"].mean()) if self.state else self.z0
        return {**super().facts(), "count_noise_multiplier": self.sigma_bits, "z": Z}
