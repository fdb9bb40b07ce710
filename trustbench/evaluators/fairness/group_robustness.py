"""Robust accuracy by group and by class: whom an attacker hurts most."""

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
    Array,
    Measured,
    Metric,
    RowRedraw,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.evaluators._under_attack import UnderAttack
from trustbench.methods.attacks.evasion.pgd import Loss, pgd
from trustbench.methods.attacks.evasion.targets import (
    Targets,
    correct_before,
    survivors,
    targets,
)
from trustbench.methods.group_nulls import against_chance
from trustbench.methods.groups import gap, means_by, sizes

LOSSES: tuple[Loss, ...] = ("ce", "margin")
BY_GROUP = ("racc_gap", "racc_worst_group", "boundary_error_gap", "natural_error_gap")


@dataclass(frozen=True)
class GroupRobustness(UnderAttack):
    """How unequal robust accuracy is between groups, and where the inequality comes from.

    A point is robust if its true logit stays strictly the largest under PGD on cross-entropy and
    under PGD on the logit margin. `racc_gap` is the largest minus the smallest robust accuracy of a
    group, `racc_worst_group` the smallest, `robust_class_sd` the standard deviation over true
    classes. A group's robust error is its natural error, whose gap is `natural_error_gap`, plus its
    boundary error, whose gap is `boundary_error_gap`: points that are classified correctly but are
    so close to the boundary that the attack succeeds. Each comes with its null, `<name>_permuted`:
    the same after groups (or classes) of the same sizes are drawn at random (mean of
    `permutations`), which is the effect of chance alone.

    `points` is the maximum number of test rows, the same for all arms. A group or class with fewer
    than `min_group` of them is left out.

    Reference: Xu et al. 2021, arXiv 2010.06121, section 2 (boundary and natural error); Nanda
    et al. 2021, arXiv 2006.12621 (robustness bias between groups).
    """

    steps: Annotated[int, Field(ge=1)] = 20
    restarts: Annotated[int, Field(ge=1)] = 1
    points: Annotated[int, Field(ge=1)] = 400
    min_group: Annotated[int, Field(ge=1)] = 20
    permutations: Annotated[int, Field(ge=20)] = 100

    version: ClassVar[int] = 4
    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reference: ClassVar[str] = "Xu et al. 2021, arXiv 2010.06121; Nanda et al. 2021"
    metrics = (
        fraction(
            "racc_gap",
            "How much less accurate the model is under attack for one group than for another.",
            better="lower",
            null=PERMUTED,
        ),
        fraction(
            "racc_worst_group",
            "The accuracy under attack of the group that the attacker hurts most.",
            better="higher",
            null=PERMUTED,
        ),
        fraction(
            "boundary_error_gap",
            "How much more often an attack flips correct decisions about one group than another.",
            better="lower",
            null=PERMUTED,
        ),
        fraction(
            "natural_error_gap",
            "How much more often one group is misclassified than another, without an attack.",
            better="lower",
            null=PERMUTED,
        ),
        Metric(
            "robust_class_sd",
            "How unequal the classes are in accuracy under attack.",
            "fraction",
            better="lower",
            lower=0.0,
            upper=0.5,
            null=PERMUTED,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        fixed = super().supports(system)
        if fixed:
            return fixed
        at = targets(system, self.points)
        if max(self._large(of, k).sum() for of, k in self._partitions(system, at).values()) < 2:
            return f"needs 2 groups or 2 classes of at least {self.min_group} attacked points"
        return None

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        natural = correct_before(system, at)
        robust = natural & self._survives(system, at)
        outcomes = {"robust": robust.cpu().numpy(), "natural": natural.cpu().numpy()}
        y, summarised = at.y.cpu().numpy(), partial(self._summarised, system)
        found = summarised(outcomes, y, at.group)
        return replace(
            found,
            arrays={**outcomes, "group": at.group},
            redraw=RowRedraw.of(outcomes, y, at.group, summarised),
        )

    def _summarised(
        self, system: System, outcomes: Mapping[str, Array], y: Array, group: Array
    ) -> Measured:
        """The numbers of outcomes, bool [R, n], of points of these classes and groups [n]."""
        robust, right = outcomes["robust"], outcomes["natural"]
        reason = f"needs 2 of at least {self.min_group} attacked points"
        large = self._large(group, len(system.problem.groups))
        common = self._large(y, len(system.problem.classes))
        parts = [
            self._by_group(system, robust, right, group, large)
            if large.sum() > 1
            else Measured.unmeasured(BY_GROUP, f"{reason}, groups"),
            self._by_class(system, robust, y, common)
            if common.sum() > 1
            else Measured.unmeasured(("robust_class_sd",), f"{reason}, classes"),
        ]
        left_out = [g for g, k in zip(system.problem.groups, large, strict=True) if not k]
        kept = Measured(
            (),
            facts={
                "norm": self.norm,
                "epsilon": self.epsilon,
                "left_out": ", ".join(left_out) or None,
            },
        )
        return Measured.joined([*parts, kept])

    def _partitions(self, system: System, at: Targets) -> Mapping[str, tuple[Array, int]]:
        """The group and the class of each point [n], and their numbers."""
        problem = system.problem
        return {
            "group": (at.group, len(problem.groups)),
            "class": (at.y.cpu().numpy(), len(problem.classes)),
        }

    def _large(self, group: Array, count: int) -> Array:
        return np.asarray(sizes(group, count) >= self.min_group)

    def _survives(self, system: System, at: Targets) -> Tensor:
        """Which points survive both attacks: bool [R, n]."""
        threat = self.threat(system, at.X)
        found = [
            survivors(
                system,
                at,
                partial(pgd, threat=threat, steps=self.steps, loss=loss),
                f"groups_pgd_{loss}",
                self.restarts,
            )
            for loss in LOSSES
        ]
        return torch.stack(found).all(0)

    def _by_group(
        self, system: System, robust: Array, natural: Array, group: Array, large: Array
    ) -> Measured:
        """The gaps over the points of large groups; robust and natural are bool [R, n]."""
        kept = large[group]
        robust, natural, n = robust[:, kept], natural[:, kept], int(kept.sum())

        def statistics(groups: Array) -> dict[str, Array]:
            kinds = (robust, natural & ~robust, ~natural)
            survive, boundary, error = (
                means_by(values, groups, len(large))[..., large] for values in kinds
            )
            found = (gap(survive), survive.min(axis=-1), gap(boundary), gap(error))
            return dict(zip(BY_GROUP, found, strict=True))

        build = partial(self.measurement, n=n)
        found = against_chance(build, statistics, group[kept], system, self.permutations)
        return Measured(tuple(found))

    def _by_class(self, system: System, robust: Array, label: Array, common: Array) -> Measured:
        kept = common[label]

        def statistics(labels: Array) -> dict[str, Array]:
            rates = means_by(robust[:, kept], labels, len(common))[..., common]
            return {"robust_class_sd": rates.std(axis=-1)}

        build = partial(self.measurement, n=int(kept.sum()))
        found = against_chance(build, statistics, label[kept], system, self.permutations)
        return Measured(tuple(found))
