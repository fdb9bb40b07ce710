"""Accuracy under two Auto-PGD attacks and Square search: the worst case per point."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import (
    PERMUTED,
    Array,
    Measured,
    RowRedraw,
    System,
    fraction,
)
from trustbench.evaluators._under_attack import UnderAttack
from trustbench.methods.attacks.evasion.apgd import apgd
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.pgd import Objective
from trustbench.methods.attacks.evasion.square import square
from trustbench.methods.attacks.evasion.targets import (
    Targets,
    attack_points,
    correct_before,
    survivors,
    targets,
)
from trustbench.methods.group_nulls import worst_and_gap
from trustbench.methods.groups import sizes

BY_GROUP = ("worst_group_racc_autoattack", "racc_gap_autoattack")


@dataclass(frozen=True)
class AutoAttack(UnderAttack):
    """`racc_autoattack`: points that stay correct under APGD-CE, APGD-DLR and Square.

    With two classes the DLR loss is undefined and the logit margin replaces it. Compared with the
    published ensemble, targeted APGD and FAB are left out, and Square makes `queries` instead of
    5,000 queries. Group metrics cover groups with at least `min_group` points; each comes with its
    null, `<name>_permuted`: the mean over random groups of the same sizes.

    `points` is the maximum number of test rows; `steps` and `restarts` are those of each APGD
    attack.

    Reference: Croce & Hein 2020, arXiv 2003.01690, sections 3 to 5.
    """

    steps: Annotated[int, Field(ge=1)] = 100
    restarts: Annotated[int, Field(ge=1)] = 1
    queries: Annotated[int, Field(ge=1)] = 500
    points: Annotated[int, Field(ge=1)] = 150
    min_group: Annotated[int, Field(ge=1)] = 10

    version: ClassVar[int] = 3
    reference: ClassVar[str] = "Croce & Hein 2020, arXiv 2003.01690"
    metrics = (
        fraction(
            "racc_autoattack",
            "The share of test points that stay correct under the strongest of three attacks.",
            better="higher",
        ),
        fraction(
            "worst_group_racc_autoattack",
            "The accuracy under attack of the group that the attacker hurts most.",
            better="higher",
            null=PERMUTED,
        ),
        fraction(
            "racc_gap_autoattack",
            "How much less accurate the model is under attack for one group than for another.",
            better="lower",
            null=PERMUTED,
        ),
        fraction(
            "racc_<apgd_ce|apgd_dlr|apgd_margin|square>",
            "The share of test points that stay correct under one of the attacks alone.",
            better="higher",
            diagnostic=True,
        ),
        fraction(
            "acc",
            "The share of the attacked test points that are correct before the attack.",
            better="higher",
            diagnostic=True,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        threat = self.threat(system, at.X)
        second: Objective = "margin" if system.problem.binary else "dlr"
        attacked = {
            "apgd_ce": self._apgd(system, at, threat, "ce"),
            f"apgd_{second}": self._apgd(system, at, threat, second),
            "square": self._square(system, at, threat),
            "correct": correct_before(system, at),
        }
        outcomes = {name: each.cpu().numpy() for name, each in attacked.items()}
        summarised = partial(self._summarised, system)
        y = at.y.cpu().numpy()
        return replace(
            summarised(outcomes, y, at.group),
            arrays={"robust": _robust(outcomes)},
            facts={"norm": self.norm, "epsilon": self.epsilon, "second_loss": second},
            redraw=RowRedraw.of(outcomes, y, at.group, summarised),
        )

    def _summarised(
        self, system: System, outcomes: Mapping[str, Array], y: Array, group: Array
    ) -> Measured:
        """The numbers of outcomes, bool [R, n], of points of these groups [n]."""
        robust, n = _robust(outcomes), len(y)
        groups = self._groups(system, robust, group)
        kept = {name: each for name, each in outcomes.items() if name != "correct"}
        return Measured(
            measurements=(
                self.measurement("racc_autoattack", robust.mean(1), n),
                *groups.measurements,
                *(self.measurement(f"racc_{k}", each.mean(1), n) for k, each in kept.items()),
                self.measurement("acc", outcomes["correct"].mean(1), n),
            ),
            missing=groups.missing,
        )

    def _apgd(self, system: System, at: Targets, threat: ThreatModel, loss: Objective) -> Tensor:
        """Which points survive every restart: bool [R, n]."""
        attack = partial(apgd, threat=threat, steps=self.steps, loss=loss)
        return survivors(system, at, attack, f"apgd_{loss}", self.restarts)

    def _square(self, system: System, at: Targets, threat: ThreatModel) -> Tensor:
        """Which points survive the gradient-free search: bool [R, n]."""
        search = partial(square, threat=threat, queries=self.queries)
        return ~attack_points(system, at.X, at.y, search, "autoattack_square").fooled

    def _groups(self, system: System, robust: Array, group: Array) -> Measured:
        """Robust accuracy of the worst group and the gap between groups."""
        large = sizes(group, len(system.problem.groups)) >= self.min_group
        if large.sum() < 2:
            reason = f"needs two groups with {self.min_group} points each"
            return Measured((), missing=dict.fromkeys(BY_GROUP, reason))
        build = partial(self.measurement, n=len(group))
        return Measured(tuple(worst_and_gap(build, BY_GROUP, robust, group, large, system)))


def _robust(outcomes: Mapping[str, Array]) -> Array:
    """Which points survive every attack: bool [R, n]."""
    return np.asarray(
        np.stack([v for name, v in outcomes.items() if name != "correct"]).all(axis=0)
    )
