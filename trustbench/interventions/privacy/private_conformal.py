"""Prediction sets with a differentially private threshold."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, Problem, Pure, Read, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.seeding import NoiseSource, weaker
from trustbench.methods.conformal import CalibrationScores, ReleasedScores
from trustbench.methods.conformal.private import fewest_rows, level, threshold


@dataclass(frozen=True)
class PrivateSets(ReleasedScores):
    """Split conformal sets that protect the calibration rows, by the exponential mechanism.

    The threshold is one of `bins` values in [0, 1], drawn such that replacing a calibration row
    changes no probability by more than a factor e^`epsilon`. The target level is raised to pay for
    the noise (`gamma` is the share of `alpha` that the noise may consume), so that coverage is
    still at least 1 - `alpha`: privacy costs set size. With too few rows every set is full.

    `epsilon` is spent on each score; the privacy ledger adds them up. It says nothing about the
    rows on which the model was trained: that is DP-SGD's `epsilon`.

    `noise`: `seeded` draws thresholds from a named stream (for research: the guarantee is void for
    anybody who knows the seed); `system` draws them from the operating system's entropy.

    Reference: Angelopoulos et al. 2022, "Private prediction sets", arXiv 2102.06202.
    """

    epsilon: Annotated[float, Field(gt=0)] = 8.0
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.05
    bins: Annotated[int, Field(ge=2)] = 1000
    noise: NoiseSource = "seeded"

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.PRIVACY
    dose: ClassVar[tuple[str, ...]] = ("epsilon", "alpha", "rows")
    reference: ClassVar[str] = "Angelopoulos et al. 2022, arXiv 2102.06202"

    def deploy(self, system: System) -> System:
        """Returns the system with private sets; its facts state the source of the noise."""
        released = super().deploy(system)
        noise = weaker(released.facts.get("dp_noise"), self.noise)
        return replace(released, facts={**released.facts, "dp_noise": noise})

    def declares(self, problem: Problem, schedule: Schedule, n_members: int) -> tuple[Read, ...]:
        """Declares one exponential mechanism for each score."""
        mechanism = Pure("exponential", self.epsilon, releases=len(self.scores))
        what = "thresholds of prediction sets"
        return (Read("calibration", what, "answers", mechanism, noise=self.noise),)

    def rows_needed(self, own: CalibrationScores) -> int:
        """The number of rows at which the raised level is below 1."""
        return fewest_rows(self.alpha, self.epsilon, self.gamma, self.bins)

    @override
    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        found = []
        for r, true in enumerate(own.true.cpu().numpy()):
            rng = system.streams.numpy("dp_noise", r, "conformal", score)
            if self.noise == "system":
                rng = np.random.default_rng(secrets.randbits(256))  # drawn once, then discarded
            found.append(threshold(true, self.alpha, self.epsilon, self.gamma, self.bins, rng))
        aim = level(own.y.shape[1], self.alpha, self.epsilon, self.gamma, self.bins)
        value = torch.as_tensor(found, dtype=own.labels.dtype, device=own.labels.device)
        return value[:, None, None], {"level": aim}
