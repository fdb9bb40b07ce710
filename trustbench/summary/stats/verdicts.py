"""The verdict of a table cell, from an effect and what random groups show of it."""

from trustbench.summary.stats.effects import (
    ALPHA,
    POWER,
    Aim,
    Effect,
    Kind,
    Verdict,
    required_n,
    required_n_text,
    smallest_n,
)

BY_CHANCE = "random groups of the same sizes show as much"
"""Why a difference of a metric over groups counts neither as harm nor as benefit."""


def side_of_zero(effect: Effect, beyond_chance: Effect | None = None) -> int:
    """1 or -1 if the 95 % interval lies above or below zero, else 0.

    If random groups are read as well, both intervals have to.
    """
    both = (effect,) if beyond_chance is None else (effect, beyond_chance)
    if all(e.low > 0 for e in both):
        return 1
    return -1 if all(e.high < 0 for e in both) else 0


def claim_p(effect: Effect, beyond_chance: Effect | None = None) -> float:
    """The p value of the claim made by a verdict of harm or benefit.

    If random groups are read as well, the claim is that both differences are on one side of zero:
    the larger p value, and 1 if the means have opposite signs (an intersection-union test, which
    needs no correction of its own).

    Reference: Berger 1982.
    """
    if beyond_chance is None:
        return effect.p
    if effect.effect * beyond_chance.effect <= 0:
        return 1.0
    return max(effect.p, beyond_chance.p)


def _needed(effect: Effect, delta: float, family: int) -> str:
    """How many replicates would settle an inconclusive effect.

    If the observed mean is inside the margin, this is normally `required_n`; if that many have
    already run, it is the smaller of the number that would detect the mean at Holm's strictest
    level and the number that would show it equivalent. A mean beyond the margin, or one that no
    number shows equivalent, needs the number that would detect it.
    """
    mean, zero = abs(effect.effect), Aim(delta, ALPHA, (1 + POWER) / 2)
    detected = [Aim(mean, ALPHA / (2 * family), POWER)] if mean else []
    if mean >= delta:
        return required_n_text(effect, detected)
    n = required_n(effect.sd, delta, effect.common)
    if n is None:  # TOST has its largest power at a true effect of 0
        return required_n_text(effect, [*detected, zero])
    if n > effect.units:
        return required_n_text(effect, [zero])
    return required_n_text(effect, [*detected, Aim(delta - mean, ALPHA, POWER)])


def open_beyond_chance(effect: Effect, beyond: Effect, margin: float, family: int = 1) -> Verdict:
    """The verdict on an effect that excludes zero while its part beyond chance does not.

    The verdict is that random groups show as much, unless that part is on the effect's side, is at
    least `margin`, and some number of replicates would show it; then it is that number.
    """
    aim = Aim(abs(beyond.effect), ALPHA / (2 * family), POWER)
    alike = beyond.effect * effect.effect > 0 and aim.distance >= margin
    if alike and smallest_n(beyond.sd, aim, beyond.common) is not None:
        needs = required_n_text(beyond, [aim])
        return Verdict(Kind.INCONCLUSIVE, f"needs {needs}", needs=needs)
    return Verdict(Kind.INCONCLUSIVE, BY_CHANCE, by_chance=True)


def judge(
    effect: Effect,
    delta: float,
    p_adjusted: float,
    family: int = 1,
    alpha: float = ALPHA,
    beyond_chance: Effect | None = None,
) -> Verdict:
    """Judges an effect, given the smallest effect of interest `delta`.

    An effect is significant if its 95 % interval excludes zero and `p_adjusted` (of `claim_p`, over
    `family` tests) is below `alpha`. It is immaterial if its 90 % interval lies inside (-delta,
    delta). The expected sign plays no part. Differences that do not vary show harm or benefit if
    they reach `delta`, and never its absence.

    `beyond_chance` is the same effect of a metric over groups, minus what random groups show. If
    its interval does not exclude zero on the same side, the effect is not significant. It does not
    affect what is immaterial, which concerns the metric as printed.
    """
    if effect.error == 0 and abs(effect.effect) < delta:
        return Verdict(
            Kind.NOT_APPLICABLE,
            f"every difference is {effect.effect:z.3g}",
            "the differences do not vary, so that no test of equivalence applies",
        )
    direction = side_of_zero(effect, beyond_chance)
    significant = direction != 0 and p_adjusted < alpha
    inside = -delta < effect.low90 and effect.high90 < delta
    if significant and inside:
        return Verdict(Kind.IMMATERIAL)
    if significant:
        return Verdict(Kind.HARM if direction > 0 else Kind.BENEFIT)
    if inside:
        return Verdict(Kind.NO_MATERIAL)
    if beyond_chance is not None and side_of_zero(effect) != direction:
        return open_beyond_chance(effect, beyond_chance, delta, family)
    last = effect
    if direction and beyond_chance is not None and beyond_chance.p > effect.p:
        last = beyond_chance  # it is what keeps the effect from being significant
    needs = _needed(last, delta, family)
    return Verdict(Kind.INCONCLUSIVE, f"needs {needs}", needs=needs)
