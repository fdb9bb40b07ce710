"""What an evaluator of membership attacks has found so far; less is better everywhere."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np

from trustbench.attacks.membership.dependence import widened
from trustbench.attacks.membership.likelihood import Scores
from trustbench.attacks.membership.metrics import (
    allowed,
    auc,
    each,
    fewest_outside,
    no_shadows,
    resolves,
    smallest_side,
    tpr_at,
    unresolved,
)
from trustbench.contracts import Array, Fact, Measured, Measurement


@dataclass
class Report:
    """Measurements of attacks on the same membership, bool [R, n]."""

    member: Array
    measurements: list[Measurement] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    facts: dict[str, Fact] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        name: str,
        values: object,
        *,
        unit: str = "AUC",
        lower: float | None = 0.0,
        upper: float | None = 1.0,
        n: int | None = None,
        diagnostic: bool = False,
        mutual: bool = False,
    ) -> None:
        """A measurement [R] of which less is better; `n` is all rows unless given.

        `mutual`: the targets are each other's shadows, and intervals are widened for it.
        """
        array = np.asarray(values, dtype=np.float64)
        rows = self.member.shape[1] if n is None else n
        pseudo = widened(array) if mutual else None
        self.measurements.append(
            Measurement(name, array, False, unit, rows, lower, upper, diagnostic, pseudo)
        )

    def auc(self, name: str, scores: Scores, *, diagnostic: bool = False) -> None:
        """The AUC of each replicate on its usable rows, or that it has no shadows."""
        if smallest_side(scores.usable, self.member):
            rows = int(scores.usable.sum(1).min())
            values = each(auc, scores, self.member)
            self.add(name, values, n=rows, diagnostic=diagnostic, mutual=scores.mutual)
        else:
            self.missing[name] = no_shadows(len(self.member))

    def tpr(self, name: str, scores: Scores, fpr: float, *, diagnostic: bool = False) -> None:
        """The true-positive rate at a false-positive rate, or why it cannot be resolved."""
        if not smallest_side(scores.usable, self.member):
            self.missing[name] = no_shadows(len(self.member))
            return
        outside = fewest_outside(scores.usable, self.member)
        if not resolves(fpr, outside):
            self.missing[name] = unresolved(fpr, outside)
            return
        values = each(partial(tpr_at, fpr=fpr), scores, self.member)
        rows = int(scores.usable.sum(1).min())
        unit = "true-positive rate"
        self.add(name, values, unit=unit, n=rows, diagnostic=diagnostic, mutual=scores.mutual)
        self.facts[f"{name}_false_positives"] = allowed(fpr, outside)

    def measured(self) -> Measured:
        """All of it."""
        return Measured(tuple(self.measurements), self.arrays, self.facts, self.missing)
