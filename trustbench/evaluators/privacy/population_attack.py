"""Membership attacks that need no other model: a threshold from the population, and labels."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from typing_extensions import override

from trustbench.contracts import (
    Access,
    Array,
    Evaluator,
    Measured,
    Measurement,
    SplitName,
    System,
    attack_auc,
    attack_rate,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks import membership as mia

RATES = {"population_tpr_5": 0.05, "population_tpr_1": 0.01}
"""The share of the population whose losses lie below the threshold."""


@dataclass(frozen=True)
class PopulationAttack(Evaluator):
    """What an attacker finds who has no reference models: by the loss, or by the label alone.

    The population attack calls a row a member if its loss is below the 5 % (or 1 %) quantile of the
    losses of calibration rows, which no model was trained on. `population_tpr_5` is the share of
    members that it finds, and its null `population_fpr_5` the share of other rows that it accuses:
    near 5 % if these come from the distribution of the calibration rows. The gap attack sees the
    decision alone and calls rows that are decided correctly members: `label_auc` is its AUC,
    1/2 + (accuracy on members - accuracy on others) / 2.

    Reference: Ye et al. 2022, arXiv 2111.09679, section 4 (attack P); Yeom et al. 2018, arXiv
    1709.01604 (gap).
    """

    aspect: ClassVar[Aspect] = Aspect.PRIVACY
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider", "interface"})
    takes_abstention: ClassVar[bool] = True
    access: ClassVar[frozenset[Access]] = frozenset({"members"})
    over_rows: ClassVar[bool] = True
    reference: ClassVar[str] = "Ye et al. 2022, arXiv 2111.09679"
    metrics = (
        attack_auc(
            "label_auc",
            "How well an attacker who sees only whether a decision is right tells members apart.",
        ),
        attack_rate(
            "population_tpr_5",
            "The share of members with a smaller loss than all but a twentieth of the population.",
            null="population_fpr_5",
        ),
        attack_rate(
            "population_tpr_1",
            "The share of members with a smaller loss than all but a hundredth of the population.",
            null="population_fpr_1",
        ),
        fraction(
            "population_fpr_<5|1>",
            "The share of rows never trained on that the same threshold takes for members.",
            better="lower",
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        return mia.no_non_members(system.membership)

    @override
    def measure(self, system: System) -> Measured:
        X, y, group = system.problem.rows("train")
        member = system.membership
        right = system.decide(system.tensor(X), group).cpu().numpy() == y
        inside = (right & member).sum(1) / member.sum(1)
        outside = (right & ~member).sum(1) / (~member).sum(1)
        gap = 0.5 + (inside - outside) / 2
        found = Measured((self.measurement("label_auc", gap, len(y)),))
        return Measured.joined([found, self._by_population(system)])

    def _by_population(self, system: System) -> Measured:
        """The rates of members and of others below each threshold, or why there is none."""
        names = (*RATES, *(k.replace("tpr", "fpr") for k in RATES))
        if "logits" not in system.access:
            return Measured((), missing=dict.fromkeys(names, "needs logits"))
        apart = system.problem.rows("calibration")[1]
        losses, population = self._losses(system, "train"), self._losses(system, "calibration")
        found: list[Measurement] = []
        missing: dict[str, str] = {}
        for name, rate in RATES.items():
            other = name.replace("tpr", "fpr")
            if not mia.resolves(rate, len(apart)):
                reason = (
                    f"needs {round(1 / rate)} calibration rows, whose losses set the threshold; "
                    f"there are {len(apart)}"
                )
                missing |= dict.fromkeys((name, other), reason)
                continue
            below = losses < _threshold(population, rate)
            found += self._rates(name, other, below, system.membership)
        return Measured(tuple(found), missing=missing)

    def _rates(self, name: str, other: str, below: Array, member: Array) -> list[Measurement]:
        tpr = (below & member).sum(1) / member.sum(1)
        fpr = (below & ~member).sum(1) / (~member).sum(1)
        return [
            self.measurement(name, tpr, int(member.sum(1).min())),
            self.measurement(other, fpr, int((~member).sum(1).min())),
        ]

    def _losses(self, system: System, split: SplitName) -> Array:
        """The loss of each row by what is released, [R, n]."""
        y = system.problem.rows(split)[1]
        shown = mia.released_logits(system, system.split_logits(split))
        return mia.losses(mia.logit_confidence(shown, y))


def _threshold(population: Array, rate: float) -> Array:
    """The loss [R, 1] that a share `rate` of the population's losses [R, m] lies below."""
    k = mia.allowed(rate, population.shape[1])
    return np.partition(population, k, axis=1)[:, k : k + 1]
