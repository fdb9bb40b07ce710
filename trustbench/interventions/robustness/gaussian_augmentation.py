"""Gaussian augmentation: training also sees every example with Gaussian noise on its inputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Batch, Forward, Intervention, Problem, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import ThreatModel, unattackable
from trustbench.methods.attacks.evasion.padding import on_real_rows
from trustbench.methods.random_numbers import draw


@dataclass(frozen=True)
class GaussianAugmentation(Intervention):
    """Averages the loss of an example over `views` noisy copies, and optionally the clean one.

    The noise has standard deviation `sigma` in units of each column's scale; columns of scale 0 and
    immutable ones never change. `bounded` keeps every value within its feature's bounds. Without it
    the noise is that of randomised smoothing, whose certificate it trains for.

    With `dpsgd` this is DP-CERT: copies are views of one example, whose gradients are averaged
    before clipping, so any number of copies stays within the bound.

    Reference: Cohen et al. 2019, arXiv 1902.02918; Wu et al. 2024, arXiv 2306.08656
    (DP-CERT).
    """

    sigma: Annotated[float, Field(gt=0)] = 0.25
    views: Annotated[int, Field(ge=1)] = 2
    clean: bool = True
    bounded: bool = True

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Cohen et al. 2019, arXiv 1902.02918; Wu et al. 2024 (DP-CERT)"
    dose: ClassVar[tuple[str, ...]] = ("sigma",)

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return unattackable(problem)

    def perturb(self, batch: Batch, forward: Forward, problem: Problem) -> Tensor:
        """The views [R, B, V (views + clean), *shape]: the clean ones first."""
        V = batch.X.shape[2]
        threat = ThreatModel.of(problem, "linf", self.sigma, batch.X)
        clean = batch.X.detach()
        X = clean.repeat(1, 1, self.views, *[1] * len(problem.shape)).flatten(1, 2)
        real = batch.real.repeat_interleave(self.views * V, dim=1)

        def add_noise(x: Tensor, each: Sequence[torch.Generator], drawn: Tensor) -> Tensor:
            return x + self.sigma * threat.weight * draw(torch.randn, x, each, drawn)

        noisy = on_real_rows(add_noise, X, real, batch.generators)
        if self.bounded:
            low, high = torch.minimum(threat.lower, X), torch.maximum(threat.upper, X)
            noisy = torch.maximum(torch.minimum(noisy, high), low)
        noisy = noisy.unflatten(1, (-1, self.views * V))
        return torch.cat([clean, noisy], dim=2) if self.clean else noisy
