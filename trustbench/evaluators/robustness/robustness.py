"""Accuracy under evasion: the worst case per point over four attacks, with masking flags."""

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
    Forward,
    Measured,
    Metric,
    Need,
    RowRedraw,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import Norm, ThreatModel, unattackable
from trustbench.methods.attacks.evasion.masking import Signs, zero_gradient
from trustbench.methods.attacks.evasion.pgd import Loss, Worst, margin, pgd
from trustbench.methods.attacks.evasion.square import square
from trustbench.methods.attacks.evasion.targets import ROWS, Targets, generators, in_chunks, targets
from trustbench.methods.group_nulls import against_chance
from trustbench.methods.groups import gap, means_by, sizes

PGD_LOSSES: tuple[Loss, ...] = ("ce", "margin")
ATTACKS = ("pgd", "square", "transfer")
ALONE = dict.fromkeys(
    ("racc_transfer", "transfer_only"), "needs replicates: another model to craft points on"
)
CURVE_STEPS = 10  # of the sanity curve, which shows an order and is not a measurement


@dataclass(frozen=True)
class Robustness(Evaluator):
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

    norm: Norm = "linf"
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    steps: Annotated[int, Field(ge=1)] = 20
    restarts: Annotated[int, Field(ge=1)] = 2
    queries: Annotated[int, Field(ge=1)] = 200
    points: Annotated[int, Field(ge=1)] = 300
    min_group: Annotated[int, Field(ge=1)] = 20

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries", "gradients"})
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
    def supports(self, system: System) -> str | None:
        return unattackable(system.problem)

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        threat = ThreatModel.of(system.problem, self.norm, self.epsilon, at.X)
        outcomes = {k: v.cpu().numpy() for k, v in self._outcomes(system, at, threat).items()}
        summarised = partial(self._summarised, system)
        return replace(
            summarised(outcomes, at.y.cpu().numpy(), at.group),
            arrays={"robust": _robust(outcomes)},
            redraw=RowRedraw.of(outcomes, at.y.cpu().numpy(), at.group, summarised),
        )

    def _outcomes(self, system: System, at: Targets, threat: ThreatModel) -> dict[str, Tensor]:
        """What happens to each point, bool [R, n]: whether it is correct or survives an attack."""
        clean = margin(system.logits(at.X, ROWS), at.y) < 0
        first, every = self._pgd(system, at, threat)
        found = {"clean": clean, "first": first, "pgd": every}
        found["square"] = self._square(system, at, threat)
        if "replicates" in system.access:
            found["transfer"] = clean & self._transfer(system, at, threat)
        # the sanity curve: one margin PGD at other radii
        radii = {"half": threat.scaled(0.5), "double": threat.scaled(2), "box": threat.whole_box()}
        for name, other in radii.items():
            chance = generators(system, "radius_curve")
            run = self._climb(system.forward, at, other, chance, "margin", CURVE_STEPS)
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
                chance = generators(system, f"pgd_{loss}", restart)
                survives = survives & ~self._climb(system.forward, at, threat, chance, loss).fooled
            first = survives if restart == 0 else first
        return first, survives

    def _climb(
        self,
        forward: Forward,
        at: Targets,
        threat: ThreatModel,
        chance: list[torch.Generator],
        loss: Loss,
        steps: int | None = None,
    ) -> Worst:
        """One PGD run on all points."""
        attack = partial(
            pgd, forward, threat=threat, generators=chance, steps=steps or self.steps, loss=loss
        )
        return in_chunks(attack, at.X, at.y)

    def _square(self, system: System, at: Targets, threat: ThreatModel) -> Tensor:
        """Which points survive the gradient-free search: bool [R, n]."""
        chance = generators(system, "square")
        attack = partial(
            square, system.forward, threat=threat, generators=chance, queries=self.queries
        )
        return ~in_chunks(attack, at.X, at.y).fooled

    def _transfer(self, system: System, at: Targets, threat: ThreatModel) -> Tensor:
        """Which points each replicate gets right after an attack on its partner's baseline."""
        chance = generators(system, "transfer")
        baseline = system.baseline().forward if system.baseline else system.forward
        crafted = self._climb(baseline, at, threat, chance, "margin").X
        return margin(system.logits(crafted[partners(system.replicates)], ROWS), at.y) < 0

    def _groups(self, system: System, robust: Array, group: Array) -> Measured:
        """Robust accuracy of the worst group, the gap between groups, and the groups left out."""
        count = sizes(group, len(system.problem.groups))
        large = count >= self.min_group
        left_out = ", ".join(map(str, np.flatnonzero(~large)))
        if large.sum() < 2:
            reason = f"needs two groups with {self.min_group} points each; largest: {count.max()}"
            missing = dict.fromkeys(("worst_group_racc", "racc_gap"), reason)
            return Measured((), facts={"groups_left_out": reason}, missing=missing)
        kept = large[group]
        survives = robust[:, kept]

        def statistics(groups: Array) -> dict[str, Array]:
            rates = means_by(survives, groups, len(large))[..., large]
            return {"worst_group_racc": rates.min(axis=-1), "racc_gap": gap(rates)}

        build = partial(self.measurement, n=len(group))
        found = against_chance(build, statistics, group[kept], system)
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
