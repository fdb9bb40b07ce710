"""Collects the measurements of a membership evaluator."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from trustbench.contracts import Array, Fact, Measured, Measurement, RowRedraw
from trustbench.methods.attacks.membership.dependence import Statistic, shadowing, widened
from trustbench.methods.attacks.membership.likelihood import Scores
from trustbench.methods.attacks.membership.metrics import (
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
from trustbench.methods.group_nulls import Chance, with_null


@dataclass
class Report:
    """Measurements of attacks on the same membership, bool [R, n].

    `measurement` makes one from a name, values [R] and a number of rows: the evaluator's own.
    `shadows` bool [S, n] is the membership of models that are shadows of all and targets of none.
    """

    member: Array
    measurement: Callable[[str, Array, int], Measurement]
    measurements: list[Measurement] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    facts: dict[str, Fact] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    mutual: dict[str, tuple[Scores, Statistic]] = field(default_factory=dict)
    """For measurements whose targets are each other's shadows: how to compute them from scores."""
    shadows: Array | None = None
    by_rows: dict[str, tuple[Scores, Callable[[Array, Array], float]]] = field(default_factory=dict)
    """For measurements of one target: scores of rows, and the metric of these and membership."""

    @property
    def models(self) -> Array:
        """Membership of the targets and of the shadows behind them, bool [M, n]."""
        return self.member if self.shadows is None else np.concatenate([self.member, self.shadows])

    def add(
        self,
        name: str,
        values: object,
        *,
        n: int | None = None,
        widening: float | None = None,
    ) -> None:
        """Adds a measurement [R]; `n` defaults to all rows.

        `widening` is the factor by which the standard error exceeds that of independent values.
        """
        array = np.asarray(values, dtype=np.float64)
        rows = self.member.shape[1] if n is None else n
        pseudo = widened(array, widening) if widening else None
        self.measurements.append(replace(self.measurement(name, array, rows), pseudo=pseudo))

    def scored(self, name: str, scores: Scores, statistic: Statistic) -> None:
        """Adds a statistic of scores whose targets all have usable members and non-members."""
        rows = int(scores.usable.sum(1).min())
        self.add(name, statistic(scores), n=rows, widening=scores.widening)
        if scores.mutual and scores.without is not None:
            self.mutual[name] = scores, statistic

    def beside(self, name: str, chance: Chance) -> None:
        """Links the measurement `name` to its value when the compared groups mean nothing."""
        linked = [with_null(m, chance) if m.name == name else (m,) for m in self.measurements]
        self.measurements = [m for each in linked for m in each]

    def auc(self, name: str, scores: Scores) -> None:
        """Adds the AUC of each replicate on its usable rows, or that it has no shadows."""
        if smallest_side(scores.usable, self.member):
            self.scored(name, scores, self.each(auc))
            self.by_rows[name] = scores, auc
        else:
            self.missing[name] = no_shadows(len(self.member))

    def tpr(self, name: str, scores: Scores, fpr: float) -> None:
        """Adds the true-positive rate at a false-positive rate, or why it cannot be resolved."""
        if not smallest_side(scores.usable, self.member):
            self.missing[name] = no_shadows(len(self.member))
            return
        outside = fewest_outside(scores.usable, self.member)
        if not resolves(fpr, outside):
            self.missing[name] = unresolved(fpr, outside)
            return
        self.scored(name, scores, self.each(partial(tpr_at, fpr=fpr)))
        self.by_rows[name] = scores, partial(tpr_at, fpr=fpr)
        self.facts[f"{name}_false_positives"] = allowed(fpr, outside)

    def each(self, metric: Callable[[Array, Array], float]) -> Statistic:
        """Returns a metric of (scores, membership) on every replicate's usable rows."""

        def of(scores: Scores) -> Array | None:
            usable = smallest_side(scores.usable, self.member)
            return each(metric, scores, self.member) if usable else None

        return of

    def measured(self) -> Measured:
        """Returns everything measured."""
        found = shadowing(self.mutual, self.models, len(self.member))
        measurements = [self._dependent(m, found.get(m.name)) for m in self.measurements]
        redraw = None
        if len(self.member) == 1:
            inside = self.member[0].astype(np.int64)
            redraw = RowRedraw(inside, np.zeros_like(inside), self._redrawn)
        return Measured(tuple(measurements), self.arrays, self.facts, self.missing, redraw=redraw)

    def _redrawn(self, rows: Array) -> Measured:
        """The metrics of the one target on draws of the rows, [K, n]."""
        found = []
        for name, (scores, metric) in self.by_rows.items():
            drawn = [r[scores.usable[0][r]] for r in rows]
            values = [metric(scores.values[0][r], self.member[0][r]) for r in drawn]
            found.append(self.measurement(name, np.array(values), rows.shape[1]))
        return Measured(tuple(found))

    def _dependent(self, m: Measurement, moved: Array | None) -> Measurement:
        if m.name not in self.mutual:
            return m
        if moved is None:  # too few shadows to leave one out
            return replace(m, pseudo=widened(m.values))
        return replace(m, shadowing=moved)
