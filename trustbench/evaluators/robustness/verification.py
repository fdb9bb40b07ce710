"""Accuracy that is proven from the weights: no allowed change within a radius can break it."""

from dataclasses import dataclass
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
    Metric,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import ThreatModel, unattackable
from trustbench.methods.attacks.evasion.minimal import at_radii
from trustbench.methods.attacks.evasion.targets import targets
from trustbench.methods.group_nulls import worst_and_gap
from trustbench.methods.groups import sizes
from trustbench.methods.verification.bounds import Method, margins, proven_radius

BY_GROUP = ("verified_worst_group", "verified_gap")
METHODS: tuple[Method, ...] = ("interval", "linear")


@dataclass(frozen=True)
class Verification(Evaluator):
    """Which decisions no attacker can change: lower bounds of every margin from the weights.

    A row is verified if it is decided rightly and its logit is proven to stay the largest for all
    inputs within `epsilon` (linf, in units of each column's scale), the features' bounds, immutable
    columns and columns that only rise or fall: the attacker of `robustness`. Rows that are not
    verified may still be safe. On networks that were not trained for it the bounds are loose, often
    empty; `unproven` says on how many rows. They are exact for models without hidden layers.

    `verified_accuracy` uses lines (CROWN), `verified_accuracy_interval` intervals (IBP).
    `mean_verified_radius` is the mean over all rows of the largest radius up to `largest` that is
    proven, by `halvings` of bisection, and 0 where the decision is wrong. `points` is the maximum
    number of test rows; `min_group` the number that a group needs. Proofs hold for real-number
    arithmetic up to the rounding of float64; the model itself answers in float32.

    Reference: Zhang et al. 2018, arXiv 1811.00866 (CROWN); Gowal et al. 2018, arXiv 1810.12715
    (IBP).
    """

    epsilon: Annotated[float, Field(gt=0)] = 0.1
    largest: Annotated[float, Field(gt=0)] = 1.6
    halvings: Annotated[int, Field(ge=1)] = 10
    points: Annotated[int, Field(ge=1)] = 200
    min_group: Annotated[int, Field(ge=1)] = 20

    aspect: ClassVar[Aspect | None] = Aspect.ROBUSTNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "chain"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "parameters"})
    reference: ClassVar[str] = "Zhang et al. 2018, arXiv 1811.00866"
    metrics = (
        fraction(
            "verified_accuracy",
            "The share of test points that are correct and that provably no attacker can change.",
            better="higher",
        ),
        fraction(
            "verified_accuracy_interval",
            "The same share by the coarser proof, on which some training methods build.",
            better="higher",
            diagnostic=True,
        ),
        Metric(
            "mean_verified_radius",
            "How far a row may be moved, on average, before the proof of a right decision fails.",
            "radius",
            better="higher",
            lower=0.0,
            upper="largest radius that is tried",
        ),
        fraction(
            "verified_worst_group",
            "The proven share in the group with the fewest proofs.",
            better="higher",
            null=PERMUTED,
        ),
        fraction(
            "verified_gap",
            "How much more often a right decision is proven for one group than for another.",
            better="lower",
            null=PERMUTED,
        ),
        fraction(
            "unproven",
            "The share of correctly decided rows on which the proof fails; they may be safe.",
            better="lower",
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if system.chain is None:
            return (
                "a proof needs the weights of a chain of linear layers, ReLU and tanh that answers "
                "as it was trained"
            )
        return unattackable(system.problem)

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        right = (system.logits(at.X).argmax(-1) == at.y).cpu().numpy()
        like = at.X.flatten(2)[:, :, 0].double()
        proven = partial(self._proven, system, at.X, at.y)
        share = {
            method: right & proven(method, torch.full_like(like, self.epsilon)).cpu().numpy()
            for method in METHODS
        }
        radius = proven_radius(partial(proven, "linear"), self.largest, like, self.halvings)
        each = np.where(right, radius.cpu().numpy(), 0.0)
        verified, n = share["linear"], len(at.y)
        groups = self._groups(system, verified, at.group)
        unproven, missing = _unproven(verified, right)
        return Measured(
            measurements=(
                self.measurement("verified_accuracy", verified.mean(1), n),
                self.measurement("verified_accuracy_interval", share["interval"].mean(1), n),
                self.measurement("mean_verified_radius", each.mean(1), n, upper=self.largest),
                *groups.measurements,
                *(self.measurement("unproven", u, n) for u in unproven),
            ),
            rows={"verified_accuracy": verified, "mean_verified_radius": each},
            facts={"norm": "linf", "epsilon": self.epsilon, "largest": self.largest},
            missing={**groups.missing, **missing},
        )

    def _proven(
        self, system: System, X: Tensor, y: Tensor, method: Method, radii: Tensor
    ) -> Tensor:
        """Which rows [R, n] keep their label's logit strictly the largest within radii [R, n]."""
        assert system.chain is not None  # `supports`
        threat = at_radii(ThreatModel.of(system.problem, "linf", self.epsilon, X.double()), radii)
        found = margins(system.chain, *threat.bounds(X.double()), y, method)
        others = found.scatter(-1, y.expand(len(found), -1).unsqueeze(-1), torch.inf)
        return others.amin(-1) > 0

    def _groups(self, system: System, verified: Array, group: Array) -> Measured:
        count = sizes(group, len(system.problem.groups))
        large = count >= self.min_group
        if large.sum() < 2:
            reason = f"needs two groups with {self.min_group} points each; largest: {count.max()}"
            return Measured((), missing=dict.fromkeys(BY_GROUP, reason))
        build = partial(self.measurement, n=len(group))
        return Measured(tuple(worst_and_gap(build, BY_GROUP, verified, group, large, system)))


def _unproven(verified: Array, right: Array) -> tuple[list[Array], dict[str, str]]:
    """The share [R] of right rows without a proof, or why it is missing."""
    if not right.any(1).all():
        return [], {"unproven": "a replicate has no correct point to prove"}
    return [1 - verified.sum(1) / right.sum(1)], {}
