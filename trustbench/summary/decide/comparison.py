"""Comparison of arms: scores by a policy's weights, the Pareto front, robustness of a choice.

An arm's harm on a target is how much worse it is than the baseline, as a share of the change that
the table calls unacceptable. Its score is the sum of these shares, weighted by the policy. The
weights sum to 1; the baseline's score is 0, and lower is better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add

import numpy as np

from trustbench.summary.decide.decisions import Decision, Outcome
from trustbench.summary.stats.effects import Effect
from trustbench.summary.table.contrasts import Contrast

DRAWS = 2000
SPREAD = 0.5
"""The maximum relative deviation of drawn weights from the policy's."""


@dataclass(frozen=True)
class Harm:
    """How much worse an arm is than the baseline on one target, or why that is unknown."""

    target: str
    metric: str
    regime: str
    against: str | float | None
    reference: str | None
    unacceptable: float
    delta: float
    """The smallest difference of interest."""
    contrast: Contrast | None = None
    missing: str | None = None

    @cached_property
    def effect(self) -> Effect | None:
        """The paired difference in the unit of the metric; positive is worse."""
        return None if self.contrast is None else self.contrast.effect

    @property
    def size(self) -> int | None:
        """The number of replicates."""
        return None if self.contrast is None else len(self.contrast.differences)

    def share(self, weight: float = 1.0) -> tuple[float, Contrast]:
        """(factor, differences): their product is the harm in shares of the unacceptable change."""
        assert self.contrast is not None
        return weight / self.unacceptable, self.contrast


@dataclass(frozen=True)
class Option:
    """One measured arm and its position among the others."""

    label: str
    interventions: tuple[str, ...]
    records: tuple[str, ...]
    harms: Mapping[str, Harm]
    decisions: tuple[Decision, ...]
    """Every demand of the policy on the arm, as the gate decides it."""
    outcome: Outcome
    below_floor: str | None = None
    """By how much the arm misses the utility floor; None if it does not."""
    score: Effect | None = None
    unscored: str | None = None
    """Why there is no score."""
    dominated_by: tuple[str, ...] = ()
    on_front: bool | None = None
    """None if the arm has no score and thus is not compared."""
    beyond_best: Effect | None = None
    """The score minus that of the chosen arm, paired; None for the chosen one."""
    wins: float | None = None
    """The share of the drawn weights under which the arm is chosen; None if it cannot be."""

    @property
    def tied(self) -> bool:
        """Whether the arm is indistinguishable from the chosen one: the interval contains zero."""
        d = self.beyond_best
        return d is not None and d.low <= 0 <= d.high


def scored(options: Sequence[Option], weights: Mapping[str, float]) -> list[Option]:
    """Adds scores to the options if every weighted target has comparable numbers."""
    needed = [t for t, w in weights.items() if w > 0]
    sizes = {n for o in options for t in needed if (n := o.harms[t].size) is not None}
    out = []
    for option in options:
        lacking = [f"{t}: {option.harms[t].missing}" for t in needed if option.harms[t].missing]
        if lacking:
            out.append(replace(option, unscored="; ".join(lacking)))
        elif len(sizes) > 1:
            several = " and ".join(map(str, sorted(sizes)))
            out.append(replace(option, unscored=f"arms and targets have {several} replicates"))
        else:
            out.append(replace(option, score=_sum(_parts(option, weights))))
    return out


def _parts(option: Option, weights: Mapping[str, float]) -> list[tuple[float, Contrast]]:
    """The summands of the score of a scored arm."""
    return [option.harms[t].share(w) for t, w in weights.items() if w > 0]


def _sum(parts: Sequence[tuple[float, Contrast]]) -> Effect:
    """The mean over replicates of a weighted sum of differences, with its interval."""
    total = reduce(add, (factor * c.series for factor, c in parts))
    return total.effect(max(c.overlap for _, c in parts))


def comparable(rated: Sequence[Option], target: str) -> bool:
    """Whether all of these arms have the same replicates of a target."""
    sizes = {o.harms[target].size for o in rated}
    return len(sizes) == 1 and None not in sizes


def placed(option: Option, rated: Sequence[Option], compared: Sequence[str]) -> Option:
    """Adds to the option those that dominate it on the compared targets."""
    if option.score is None:
        return option
    better = tuple(o.label for o in rated if o is not option and dominates(o, option, compared))
    return replace(option, dominated_by=better, on_front=not better)


def dominates(a: Option, b: Option, targets: Sequence[str]) -> bool:
    """Whether `a` is shown to be no worse than `b` on every target, and better on one.

    No worse means that the 95 % interval of the paired difference lies below the smallest
    difference of interest, and not above zero. Better means that it lies below zero. Two arms
    therefore never dominate each other, and a target that the data leaves open keeps both on the
    front.
    """
    pairs = [(a.harms[t], b.harms[t]) for t in targets]
    known = [(_sum([x.share(), y.share(-1.0)]), _margin(x, y)) for x, y in pairs]
    no_worse = all(d.low <= 0 and d.high < margin for d, margin in known)
    return no_worse and any(d.high < 0 for d, _ in known)


def _margin(a: Harm, b: Harm) -> float:
    """The smallest difference of interest, as a share of the unacceptable change."""
    return min(h.delta / h.unacceptable for h in (a, b))


def beyond(option: Option, best: Option, weights: Mapping[str, float]) -> Effect | None:
    """The score of an option minus that of the best, paired; None for the best itself."""
    if option.score is None or option.label == best.label:
        return None
    less = {t: -w for t, w in weights.items() if w > 0}
    subtracted = [best.harms[t].share(w) for t, w in less.items()]
    return _sum([*_parts(option, weights), *subtracted])


def points(option: Option) -> float:
    """The score of a scored option."""
    assert option.score is not None
    return option.score.effect


def wins(eligible: Sequence[Option], weights: Mapping[str, float]) -> dict[str, float]:
    """Label -> the share of drawn weights under which the arm has the lowest score.

    Each of DRAWS draws changes every weight by up to SPREAD of itself, uniformly, from a fixed
    seed. Arms with equal scores share the draw.
    """
    if not eligible:
        return {}
    targets = [t for t, w in weights.items() if w > 0]
    rng = np.random.default_rng(0)
    drawn = rng.uniform(1 - SPREAD, 1 + SPREAD, size=(DRAWS, len(targets)))
    drawn *= np.array([weights[t] for t in targets])
    harms = np.array([[_mean(o.harms[t]) for t in targets] for o in eligible])
    scores = (drawn / drawn.sum(1, keepdims=True)) @ harms.T
    lowest = np.isclose(scores, scores.min(1, keepdims=True), rtol=0, atol=1e-12)
    shares = (lowest / lowest.sum(1, keepdims=True)).mean(0)
    return {o.label: float(s) for o, s in zip(eligible, shares, strict=True)}


def _mean(harm: Harm) -> float:
    factor, contrast = harm.share()
    return factor * float(contrast.differences.mean())
