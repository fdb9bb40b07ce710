"""Compares an interval with a limit (inside, outside, or across), and applies the policy.

Each bound is decided on a 95 % t interval: it is passed if the interval lies wholly inside, and
violated if it lies wholly outside. A model exactly at a limit therefore passes it in 2.5 % of
studies, and violates it in 2.5 %.

With several limits, a gate passes if every limit passes. A model that breaks any of them passes in
at most 2.5 % of studies, however many limits there are (an intersection-union test, which needs no
correction; Berger 1982). `violated` is not corrected either, so that it agrees with the printed
interval: with k limits that are all just kept, at least one is called violated in up to k x 2.5 %
of studies. Verdicts that block are those of the table, by Holm or Benjamini-Hochberg.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from trustbench.summary.decide.policy import Answer, Block, Bound, Limit
from trustbench.summary.stats.effects import (
    ALPHA,
    POWER,
    Aim,
    Effect,
    Kind,
    Verdict,
    required_n_text,
)
from trustbench.summary.stats.verdicts import open_beyond_chance, side_of_zero
from trustbench.summary.table.results import Estimate


class Outcome(StrEnum):
    """The outcome of a decision, a candidate or a whole gate."""

    PASS = "pass"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    UNMEASURED = "unmeasured"
    UNRELIABLE = "unreliable"
    """A pass that rests on a measurement that is known to mislead."""


ANSWERS: dict[Answer, Outcome] = {
    "pass": Outcome.PASS,
    "fail": Outcome.VIOLATED,
    "inconclusive": Outcome.INCONCLUSIVE,
}


@dataclass(frozen=True)
class Decision:
    """The decision on one bound of a limit, or on one cell whose verdict may block.

    The effect of `estimate` is the arm's own mean for an absolute bound, and a difference in units
    of harm otherwise. `counts_as` is how the policy treats the outcome.
    """

    rule: Limit | Block
    estimate: Estimate
    outcome: Outcome
    counts_as: Outcome
    cell: str | None = None
    """The cell of the metric, `P→F`; None if the table does not use it."""
    bound: Bound | None = None
    """None for a verdict."""
    against: str | None = None
    """The arm or record with which the effect compares; None for the arm's own mean."""
    needs: str | None = None
    """How many replicates would decide an inconclusive one: `n = 34`."""
    unreliable: str | None = None
    """A warning that the metric misleads here; None without any."""

    @property
    def reason(self) -> str | None:
        """Why nothing was measured or changed, or cannot be trusted; None otherwise."""
        verdict = self.estimate.verdict
        if self.unreliable is not None:
            named = self.outcome is Outcome.UNRELIABLE
            return self.unreliable if named else f"unreliable: {self.unreliable}"
        if verdict is not None and verdict.unchanged:
            return f"{verdict.detail}: {verdict.why}"
        if verdict is not None and verdict.by_chance and self.outcome is Outcome.INCONCLUSIVE:
            return verdict.detail
        if self.outcome is not Outcome.UNMEASURED or verdict is None:
            return None
        if verdict.kind is Kind.NOT_MEASURED:
            return verdict.detail
        return f"{verdict.text}: {verdict.why}" if verdict.why else verdict.text


def decide(effect: Effect, bound: Bound) -> Outcome:
    """Whether the 95 % interval lies inside the bound, outside, or across it.

    An interval that ends exactly at the bound lies inside.
    """
    inside, outside = effect.high <= bound.value, effect.low > bound.value
    if bound.kind == "at_least":
        inside, outside = effect.low >= bound.value, effect.high < bound.value
    if inside:
        return Outcome.PASS
    return Outcome.VIOLATED if outside else Outcome.INCONCLUSIVE


def within_chance(outcome: Outcome, estimate: Estimate, bound: Bound) -> Verdict | None:
    """Why a violated limit on a difference is inconclusive: random groups show as much; or None.

    A pass stays a pass: the limit is about the metric as printed.
    """
    effect, beyond = estimate.effect, estimate.beyond_chance
    if outcome is not Outcome.VIOLATED or effect is None or beyond is None:
        return None
    if side_of_zero(effect, beyond):
        return None
    return open_beyond_chance(effect, beyond, bound.value)


def decide_verdict(verdict: Verdict, effect: Effect | None, rule: Block, delta: float) -> Outcome:
    """Decides a cell's verdict under a rule; an immaterial benefit blocks nothing.

    An inconclusive verdict leaves open whether there is harm, benefit or neither. It passes if the
    95 % interval excludes the harm that blocks: harm of at least `delta`, the smallest of interest,
    or any harm if immaterial harm blocks too. Results that are unchanged by construction, or on
    every replicate, harm nothing and pass.
    """
    if verdict.unchanged:
        return Outcome.PASS
    if effect is None:
        return Outcome.UNMEASURED
    if verdict.kind is Kind.INCONCLUSIVE:
        bearable = 0.0 if Kind.IMMATERIAL in rule.verdicts else delta
        return Outcome.PASS if effect.high <= bearable else Outcome.INCONCLUSIVE
    harmful = effect.effect > 0 and verdict.kind in rule.verdicts
    return Outcome.VIOLATED if harmful else Outcome.PASS


def needed(effect: Effect, limit: float) -> str:
    """How many replicates (or pools) would put the interval on one side of `limit`.

    This is the smallest n whose 95 % t interval excludes the limit with power 0.8, assuming the
    observed mean and standard deviation; or what is needed if no n is enough.

    >>> needed(Effect(0.5, -0.1, 1.1, 5, 0.5, 1.0, 0.1, 0.0, 1.0), 0.0)
    'n = 10'
    """
    return required_n_text(effect, [Aim(abs(effect.effect - limit), ALPHA / 2, POWER)])


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Violated if any is, else inconclusive if any is, else pass.

    >>> str(worst([Outcome.PASS, Outcome.INCONCLUSIVE]))
    'inconclusive'
    """
    found = set(outcomes)
    for outcome in (Outcome.VIOLATED, Outcome.INCONCLUSIVE):
        if outcome in found:
            return outcome
    return Outcome.PASS


def digits(effect: Effect, bound: float | None) -> int:
    """Decimals that show on which side of the bound the interval's ends lie; at least three.

    >>> digits(Effect(0.1, 0.09, 0.2004, 9, 0.1, 1.0, 0.0, 0.09, 0.2), 0.2)
    4
    """
    gaps = [abs(x - bound) for x in (effect.low, effect.high)] if bound is not None else []
    smallest = min((g for g in gaps if g > 0), default=1.0)
    return min(max(3, -math.floor(math.log10(smallest))), 12)
