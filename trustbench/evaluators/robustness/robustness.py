"""Accuracy under evasion: the worst case per point over four attacks, with masking flags."""

from collections.abc import Callable, Mapping
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
    Need,
    RowRedraw,
    System,
    fraction,
)
from trustbench.evaluators._under_attack import UnderAttack
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.masking import Signs, zero_gradient
from trustbench.methods.attacks.evasion.pgd import Loss, Worst, margin, pgd
from trustbench.methods.attacks.evasion.square import square
from trustbench.methods.attacks.evasion.targets import (
    ROWS,
    Targets,
    attack_points,
    correct_before,
    targets,
)
from trustbench.methods.group_nulls import worst_and_gap
from trustbench.methods.groups import sizes

PGD_LOSSES: tuple[Loss, ...] = ("ce", "margin")
ATTACKS = ("pgd", "square", "transfer")
ALONE = dict.fromkeys(
    ("racc_transfer", "transfer_only"), "needs replicates: another model to craft points on"
)
BY_GROUP = ("worst_group_racc", "racc_gap")
CURVE_STEPS = 10  # of the sanity curve, which shows an order and is not a measurement


@dataclass(frozen=True)
class Robustness(UnderAttack):
    """Accuracy under an attacker who may move each point within a ball and the features' box.

    A point counts as robust only if its true logit stays strictly the largest under PGD on
    cross-entropy, PGD on the logit margin, a gradient-free Square search, and points crafted on
    another replicate of the baseline (the one trained on the other half). The baseline itself meets
    the same four attacks, so no arm meets an attack that its baseline is spared. All arms and
    replicates are attacked on the same points.

    `points` is the maximum number of test rows; `steps` and `restarts` are those of each PGD
    attack, `queries` those of the Square search; `min_group` is the number of points that a group
    needs. `worst_group_racc` and `racc_gap` come with their nulls, `<name>_permuted`: the mean over
    random groups.

    Reference: Croce & Hein 2020, arXiv 2003.01690 (worst case of diverse attacks); Athalye et
    al. 2018, arXiv 1802.00420, section 3.1 (signs of gradient masking).
    """

    steps: Annotated[int, Field(ge=1)] = 20
    restarts: Annotated[int, Field(ge=1)] = 2
    queries: Annotated[int, Field(ge=1)] = 200
    points: Annotated[int, Field(ge=1)] = 300
    min_group: Annotated[int, Field(ge=1)] = 20

    version: ClassVar[int] = 3
    needs: ClassVar[frozenset[Need]] = frozenset({"baseline"})
    reference: ClassVar[str] = "Croce & Hein 2020, arXiv 2003.01690"
    metrics = (
        fraction(
            "racc",
            "The share of test points that stay correct under the strongest of four attacks.",
            better="higher",
        ),
        fraction(
            "acc",
            "The share of the attacked test points that are correct before the attack.",
            better="higher",
            diagnostic=True,
        ),
        fraction(
            "racc_cond",
            "The share of correctly classified points that the attacks leave correct.",
            better="higher",
        ),
        fraction(
            "racc_<pgd|square|transfer>",
            "The share of test points that stay correct under one of the attacks alone.",
            better="higher",
        ),
        fraction(
            "worst_group_racc",
            "The accuracy under attack of the group that the attacker hurts most.",
            better="higher",
            null=PERMUTED,
        ),
        fraction(
            "racc_gap",
            "How much less accurate the model is under attack for one group than for another.",
            better="lower",
            null=PERMUTED,
        ),
        fraction(
            "racc_<half|double|box>",
            "The accuracy under attack at another radius, which must fall as the radius grows.",
            better="higher",
            diagnostic=True,
        ),
        fraction(
            "<square|transfer>_only",
            "The share of points that an attack without gradients flips where gradients fail.",
            better="lower",
            null=0.0,
            diagnostic=True,
        ),
        fraction(
            "zero_gradient",
            "The share of points at which the loss has no gradient for an attack to follow.",
            better="lower",
            null=0.0,
            diagnostic=True,
        ),
        fraction(
            "restart_gain",
            "How many more points further restarts of the attack flip.",
            better="lower",
            diagnostic=True,
        ),
        Metric(
            "masking",
            "Whether the model hides its gradients, so that its accuracy under attack misleads.",
            "flag",
            better="lower",
            lower=0.0,
            upper=1.0,
            null=0.0,
            diagnostic=True,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        threat = self.threat(system, at.X)
        outcomes = {k: v.cpu().numpy() for k, v in self._outcomes(system, at, threat).items()}
        summarised = partial(self._summarised, system)
        return replace(
            summarised(outcomes, at.y.cpu().numpy(), at.group),
            arrays={"robust": _robust(outcomes)},
            redraw=RowRedraw.of(outcomes, at.y.cpu().numpy(), at.group, summarised),
        )

    def _outcomes(self, system: System, at: Targets, threat: ThreatModel) -> dict[str, Tensor]:
        """What happens to each point, bool [R, n]: whether it is correct or survives an attack."""
        clean = correct_before(system, at)
        first, every = self._pgd(system, at, threat)
        found = {"clean": clean, "first": first, "pgd": every}
        found["square"] = self._square(system, at, threat)
        if "replicates" in system.access:
            found["transfer"] = clean & self._transfer(system, at, threat)
        # the sanity curve: one margin PGD at other radii
        radii = {"half": threat.scaled(0.5), "double": threat.scaled(2), "box": threat.whole_box()}
        for name, other in radii.items():
            climb = self._climb(other, "margin", CURVE_STEPS)
            run = attack_points(system, at.X, at.y, climb, "radius_curve")
            found[name] = ~run.fooled
        return {**found, "zero_gradient": zero_gradient(system.forward, at.X, at.y)}

    def _summarised(
        self, system: System, outcomes: Mapping[str, Array], y: Array, group: Array
    ) -> Measured:
        """The numbers of outcomes [R, n] of points of these classes and groups [n]."""
        missing = {} if "transfer" in outcomes else dict(ALONE)
        shares = {"racc": _robust(outcomes).mean(1), "acc": outcomes["clean"].mean(1)}
        if (shares["acc"] > 0).all():
            shares["racc_cond"] = shares["racc"] / shares["acc"]
        else:
            missing["racc_cond"] = "a replicate has no correct point to be robust on"
        shares |= {f"racc_{k}": outcomes[k].mean(1) for k in ATTACKS if k in outcomes}
        groups = self._groups(system, _robust(outcomes), group)
        checks = _checks(outcomes, len(system.problem.classes))
        return Measured(
            measurements=(
                *(self.measurement(k, v, len(y)) for k, v in shares.items()),
                *groups.measurements,
                *(self.measurement(k, v, len(y)) for k, v in checks.items()),
            ),
            facts={"norm": self.norm, "epsilon": self.epsilon, **groups.facts},
            missing={**missing, **groups.missing},
        )

    def _pgd(self, system: System, at: Targets, threat: ThreatModel) -> tuple[Tensor, Tensor]:
        """Which points survive the first restart, and which survive all: bool [R, n]."""
        survives = torch.ones_like(at.X.flatten(2)[:, :, 0], dtype=torch.bool)
        first = survives
        for restart in range(self.restarts):
            for loss in PGD_LOSSES:
                climb = self._climb(threat, loss)
                run = attack_points(system, at.X, at.y, climb, f"pgd_{loss}", restart)
                survives = survives & ~run.fooled
            first = survives if restart == 0 else first
        return first, survives

    def _climb(
        self, threat: ThreatModel, loss: Loss, steps: int | None = None
    ) -> Callable[..., Worst]:
        """One PGD run."""
        return partial(pgd, threat=threat, steps=steps or self.steps, loss=loss)

    def _square(self, system: System, at: Targets, threat: ThreatModel) -> Tensor:
        """Which points survive the gradient-free search: bool [R, n]."""
        search = partial(square, threat=threat, queries=self.queries)
        return ~attack_points(system, at.X, at.y, search, "square").fooled

    def _transfer(self, system: System, at: Targets, threat: ThreatModel) -> Tensor:
        """Which points each replicate gets right after an attack on its partner's baseline."""
        source = system.baseline().forward if system.baseline else system.forward
        climb = self._climb(threat, "margin")
        crafted = attack_points(system, at.X, at.y, climb, "transfer", forward=source).X
        return margin(system.logits(crafted[partners(system.replicates)], ROWS), at.y) < 0

    def _groups(self, system: System, robust: Array, group: Array) -> Measured:
        """Robust accuracy of the worst group, the gap between groups, and the groups left out."""
        count = sizes(group, len(system.problem.groups))
        large = count >= self.min_group
        if large.sum() < 2:
            reason = f"needs two groups with {self.min_group} points each; largest: {count.max()}"
            missing = dict.fromkeys(BY_GROUP, reason)
            return Measured((), facts={"groups_left_out": reason}, missing=missing)
        build = partial(self.measurement, n=len(group))
        found = worst_and_gap(build, BY_GROUP, robust, group, large, system)
        left_out = ", ".join(map(str, np.flatnonzero(~large)))
        return Measured(tuple(found), facts={"groups_left_out": left_out})


def _robust(outcomes: Mapping[str, Array]) -> Array:
    """Which points survive every attack: bool [R, n]."""
    return np.asarray(np.stack([outcomes[k] for k in ATTACKS if k in outcomes]).all(axis=0))


def _checks(outcomes: Mapping[str, Array], classes: int) -> dict[str, Array]:
    """The sanity curve and the signs of masking, each [R]."""
    out = {f"racc_{k}": outcomes[k].mean(1) for k in ("half", "double", "box")}
    pgd, others = outcomes["pgd"], [k for k in ATTACKS[1:] if k in outcomes]
    out |= {f"{k}_only": (pgd & ~outcomes[k]).mean(1) for k in others}
    out["zero_gradient"] = outcomes["zero_gradient"].mean(1)
    out["restart_gain"] = outcomes["first"].mean(1) - pgd.mean(1)
    gain = pgd.mean(1) - np.min([outcomes[k].mean(1) for k in others], axis=0)
    evidence = (out["zero_gradient"], gain, out["restart_gain"], out["racc_box"])
    zero, free, restarts, box = map(torch.as_tensor, evidence)
    signs = Signs(zero, free, restarts, box, chance=1 / classes)
    return out | {"masking": signs.flags().numpy()}


def partners(replicates: int) -> list[int]:
    """The other replicate of each pair; an odd last one takes the one before it.

    >>> partners(5)
    [1, 0, 3, 2, 3]
    """
    return [r ^ 1 if r ^ 1 < replicates else r - 1 for r in range(replicates)]
