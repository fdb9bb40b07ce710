"""What an attacker observes of a system's models, and the attacks to choose from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trustbench.contracts import Array, Measurement, System
from trustbench.methods.attacks.membership.likelihood import Scores, lira
from trustbench.methods.attacks.membership.relative import rmia
from trustbench.methods.attacks.membership.report import Report
from trustbench.methods.attacks.membership.signals import (
    logit_confidence,
    released_logits,
    true_probability,
)
from trustbench.methods.attacks.membership.strongest import Strongest, strongest


def models_of(system: System) -> list[System]:
    """The replicates, followed by the protocol's shadow models if any, as one system."""
    return [system] if system.shadows is None else [system, system.shadows()]


@dataclass(frozen=True)
class Observed:
    """What the models release on the pool, and on calibration rows that no model was trained on."""

    phi: Array  # logit-scaled confidence of the label, [M, n]
    p: Array  # probability of the label, [M, n]
    population: Array  # the same for calibration rows, [M, m]
    member: Array  # bool [M, n]
    targets: int

    @classmethod
    def of(cls, system: System) -> "Observed":
        """Observes the replicates (the targets), and the protocol's shadow models if any."""
        import torch  # code that only reads attacks does not need torch

        y, z = (system.problem.rows(split)[1] for split in ("train", "calibration"))
        systems = models_of(system)
        pool = torch.cat([s.split_logits("train") for s in systems])
        others = torch.cat([s.split_logits("calibration") for s in systems])
        return cls(
            phi=logit_confidence(released_logits(system, pool), y),
            p=true_probability(system, pool, y),
            population=true_probability(system, others, z),
            member=np.concatenate([s.membership for s in systems]),
            targets=system.replicates,
        )

    def report(self, measurement: Callable[[str, Array, int], Measurement]) -> Report:
        """Returns an empty report on the targets."""
        member, shadows = self.member[: self.targets], self.member[self.targets :]
        return Report(member, measurement, shadows=shadows)

    def lira(self, *, online: bool) -> Scores:
        """Runs LiRA on the targets."""
        return lira(self.phi, self.member, online=online, targets=self.targets)

    def rmia(self, *, gamma: float, offline_a: float | None) -> Scores:
        """Runs RMIA on the targets."""
        return rmia(
            self.p, self.member, self.population,
            gamma=gamma, offline_a=offline_a, targets=self.targets,
        )  # fmt: skip

    @cached_property
    def strongest(self) -> Strongest | None:
        """Returns the attack that does best on the models other than a target and its partner."""
        return strongest(self.attacks, self.member, self.targets)

    def attacks(self, models: Array, targets: int) -> dict[str, Scores]:
        """Attacks the first `targets` of the chosen models (bool [M]) by every attack."""
        chosen = Observed(
            self.phi[models], self.p[models], self.population[models], self.member[models], targets
        )
        own = chosen.phi[:targets]
        everywhere = np.ones(own.shape, dtype=bool)
        return {
            "lira": chosen.lira(online=True),
            "lira_offline": chosen.lira(online=False),
            "loss": Scores(own, everywhere, len(chosen.phi), "equal"),
            "rmia": chosen.rmia(gamma=1.0, offline_a=None),
        }
