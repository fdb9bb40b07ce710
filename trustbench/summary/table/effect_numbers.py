"""The numbers that a contrast shows: one definition, which every output reads."""

from dataclasses import dataclass, replace
from typing import Self

from trustbench.summary.stats.effects import Effect
from trustbench.summary.stats.verdicts import claim_p


@dataclass(frozen=True, kw_only=True)
class EffectNumbers:
    """An effect with the levels and the differences behind it; positive is worse."""

    unit: str | None = None
    effect: Effect | None = None
    treated_mean: float | None = None
    reference_mean: float | None = None
    treated_chance: float | None = None
    """For a metric over groups, what random groups of the same sizes show on the treated side."""
    reference_chance: float | None = None
    beyond_chance: Effect | None = None
    """The effect minus that of random groups; harm and benefit have to agree with it."""
    records: tuple[str, ...] = ()
    differences: tuple[float, ...] = ()
    """The paired differences, whose mean is the effect."""
    less_chance: tuple[float, ...] = ()
    """The differences whose mean is `beyond_chance`; empty for a metric that compares no groups."""

    @property
    def p(self) -> float | None:
        """The p value of the claim made by a verdict of harm or benefit, before correction."""
        return None if self.effect is None else claim_p(self.effect, self.beyond_chance)

    def against_chance(self) -> Self:
        """The same with the effect beyond random groups in place of the whole one."""
        return replace(
            self,
            effect=self.beyond_chance,
            differences=self.less_chance,
            beyond_chance=None,
            less_chance=(),
        )
