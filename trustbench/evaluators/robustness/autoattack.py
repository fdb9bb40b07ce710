"""Accuracy under two Auto-PGD attacks and Square search: the worst case per point."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import (
    PERMUTED,
    Access,
    Array,
    Evaluator,
    Measured,
    RowRedraw,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.apgd import apgd
from trustbench.methods.attacks.evasion.box import Norm, ThreatModel, unattackable
from trustbench.methods.attacks.evasion.pgd import Objective, margin
from trustbench.methods.attacks.evasion.square import square
from trustbench.methods.attacks.evasion.targets import ROWS, Targets, generators, in_chunks, targets
from trustbench.methods.group_nulls import against_chance
from trustbench.methods.groups import gap, means_by, sizes


@dataclass(frozen=True)
class AutoAttack(Evaluator):
    """`racc_autoattack`: points that stay correct under APGD-CE, APGD-DLR and Square.

    With two classes the DLR loss is undefined and the logit margin replaces it. Compared with the
    published ensemble, targeted APGD and FAB are left out, and Square makes `queries` instead of
    5,000 queries. Group metrics cover groups with at least `min_group` points; each comes with its
    null, `<name>_permuted`: the mean over random groups of the same sizes.

    `points` is the maximum number of test rows; `steps` and `restarts` are those of each APGD
    attack.

    Reference: Croce & Hein 2020, arXiv 2003.01690, sections 3 to 5.
    """

    norm: Norm = "linf"
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    steps: Annotated[int, Field(ge=1)] = 100
    restarts: Annotated[int, Field(ge=1)] = 1
    queries: Annotated[int, Field(ge=1)] = 500
    points: Annotated[int, Field(ge=1)] = 150
    min_group: Annotated[int, Field(ge=1)] = 10

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries", "gradients"})
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
    def supports(self, system: System) -> str | None:
        return unattackable(system.problem)

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        threat = ThreatModel.of(system.problem, self.norm, self.epsilon, at.X)
        second: Objective = "margin" if system.problem.binary else "dlr"
        attacked = {
            "apgd_ce": self._apgd(system, at, threat, "ce"),
            f"apgd_{second}": self._apgd(system, at, threat, second),
            "square": self._square(system, at, threat),
            "correct": margin(system.logits(at.X, ROWS), at.y) < 0,
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
        survives = torch.ones_like(at.X.flatten(2)[:, :, 0], dtype=torch.bool)
        for restart in range(self.restarts):
            attack = partial(
                apgd,
                system.forward,
                threat=threat,
                generators=generators(system, f"apgd_{loss}", restart),
                steps=self.steps,
                loss=loss,
            )
            survives = survives & ~in_chunks(attack, at.X, at.y).fooled
        return survives

    def _square(self, system: System, at: Targets, threat: ThreatModel) -> Tensor:
        """Which points survive the gradient-free search: bool [R, n]."""
        attack = partial(
            square,
            system.forward,
            threat=threat,
            generators=generators(system, "autoattack_square"),
            queries=self.queries,
        )
        return ~in_chunks(attack, at.X, at.y).fooled

    def _groups(self, system: System, robust: Array, group: Array) -> Measured:
        """Robust accuracy of the worst group and the gap between groups."""
        large = sizes(group, len(system.problem.groups)) >= self.min_group
        names = ("worst_group_racc_autoattack", "racc_gap_autoattack")
        if large.sum() < 2:
            reason = f"needs two groups with {self.min_group} points each"
            return Measured((), missing=dict.fromkeys(names, reason))
        kept = large[group]

        def statistics(groups: Array) -> dict[str, Array]:
            rates = means_by(robust[:, kept], groups, len(large))[..., large]
            return dict(zip(names, (rates.min(axis=-1), gap(rates)), strict=True))

        build = partial(self.measurement, n=len(group))
        return Measured(tuple(against_chance(build, statistics, group[kept], system)))


def _robust(outcomes: Mapping[str, Array]) -> Array:
    """Which points survive every attack: bool [R, n]."""
    return np.asarray(
        np.stack([v for name, v in outcomes.items() if name != "correct"]).all(axis=0)
    )
