"""The wording of decisions in every rendering of a gate."""

from trustbench.summary.decide.decisions import Decision, Outcome, digits
from trustbench.summary.decide.gate import Candidate, Gate
from trustbench.summary.decide.policy import Block, Limit
from trustbench.summary.render.marks import mark
from trustbench.summary.render.wording import beside_chance, contrast_name, less_chance, sample
from trustbench.summary.stats.effects import Kind

SYMBOLS = {
    Outcome.PASS: "=",
    Outcome.VIOLATED: "▲",
    Outcome.INCONCLUSIVE: "?",
    Outcome.UNMEASURED: "·",
    Outcome.UNRELIABLE: "!",
}
NO_VERDICT = (Outcome.UNMEASURED, Outcome.UNRELIABLE)
"""Outcomes to which the verdict of the cell adds nothing."""
RATE = (
    "Against an arm or a null, numbers are in units of harm: positive is worse. "
    "Each limit is decided on a 95 % {interval}. A candidate that breaks any limit passes in at "
    "most 2.5 % of studies, however many there are; one that just keeps k limits is called "
    "violated in at most k x 2.5 %."
)


def what(d: Decision) -> str:
    """The subject of a decision: cell, metric and regime."""
    metric = d.estimate.metric
    name = contrast_name(metric, d.estimate.against, d.estimate.reference) if metric else ""
    if isinstance(d.rule, Limit) and d.rule.beyond_chance:
        name += " less random groups"
    regime = f"({d.estimate.regime})" if d.estimate.regime else ""
    return " ".join(x for x in (d.cell, name, regime) if x)


def requirement(d: Decision) -> str:
    """The demand of the policy."""
    if d.bound is not None:
        return d.bound.text
    assert isinstance(d.rule, Block)
    return "no harm, not even an immaterial one" if len(d.rule.verdicts) > 1 else "no harm"


def number(value: float, decimals: int, signed: bool) -> str:
    """A number rounded to `decimals`, never minus zero.

    >>> number(-0.00001, 3, signed=True), number(0.25, 3, signed=False)
    ('+0.000', '0.250')
    """
    return f"{value:{'+' if signed else ''}z.{decimals}f}"


def measured(d: Decision) -> str:
    """The effect with its interval, n and marks; empty without an effect."""
    effect = d.estimate.effect
    if effect is None:
        return ""
    k = digits(effect, d.bound.value if d.bound else None)
    # the arm's own mean is a level, everything else is a difference
    less = isinstance(d.rule, Limit) and d.rule.beyond_chance
    own = d.bound is not None and d.against is None
    mean, low, high = (
        number(x, k, signed=less or not own) for x in (effect.effect, effect.low, effect.high)
    )
    text = f"{mean} [{low}, {high}] {sample(effect)}"
    if own and not less:
        text += beside_chance(d.estimate.treated_chance)
    elif beyond := less_chance(d.estimate):
        text += f", {beyond}"
    return text + mark(d.estimate)


def explained_by_chance(d: Decision) -> bool:
    """Whether a limit on a level is broken by a number that random groups show as well."""
    effect, chance = d.estimate.effect, d.estimate.treated_chance
    if d.outcome is not Outcome.VIOLATED or effect is None or chance is None:
        return False
    level = isinstance(d.rule, Limit) and not d.rule.beyond_chance and d.against is None
    return level and effect.low <= chance <= effect.high


def outcome(d: Decision) -> str:
    """The outcome, what would decide it, and how the policy treats it."""
    text = "not measured" if d.outcome is Outcome.UNMEASURED else str(d.outcome)
    if explained_by_chance(d):
        text += (
            " (as random groups of the same sizes would; the limit is on the number as printed, "
            "and beyond_chance: true limits what goes beyond them)"
        )
    verdict = d.estimate.verdict
    if d.needs:
        text += f" (needs {d.needs})"
    elif d.bound is None and d.outcome not in (*NO_VERDICT, Outcome.INCONCLUSIVE) and verdict:
        open_ = verdict.kind is Kind.INCONCLUSIVE
        text += " (the interval rules it out)" if open_ else f" ({verdict.text})"
    made = {
        Outcome.PASS: ", which the policy lets pass",
        Outcome.VIOLATED: ", which the policy does not let pass",
    }
    return text if d.counts_as is d.outcome else text + made.get(d.counts_as, "")


def sentence(d: Decision) -> str:
    """One sentence: what was measured and where, the demand of the policy, and the outcome."""
    found = what(d)
    if d.against is not None and d.estimate.against is None and d.estimate.reference is None:
        found += f" against {d.against}"
    if d.estimate.effect is not None:
        found += f": {measured(d)}"
    found += f", {requirement(d)}: {outcome(d)}"
    found += f": {d.reason}." if d.reason else "."
    because = d.rule.reason if d.outcome is not Outcome.PASS else None
    return f"{found} Asked because {because}." if because else found


def heading(c: Candidate) -> str:
    """A candidate, its reference, and the number of replicates, or rows."""
    return f"{c.title}, against {c.against}, {c.replicates} {c.unit}"


def rate(gate: Gate) -> str:
    """What the intervals are, and which error rates follow."""
    rows = any(c.unit == "rows" for c in gate.candidates)
    return RATE.format(interval="interval over test rows" if rows else "t interval")


def counts(gate: Gate) -> str:
    """How many candidates have which outcome."""
    found = [c.outcome for c in gate.candidates]
    kinds = [o for o in (Outcome.PASS, Outcome.VIOLATED, Outcome.INCONCLUSIVE) if o in found]
    said = ", ".join(f"{found.count(o)} {o}" for o in kinds)
    return f"{len(found)} candidate{'s' if len(found) > 1 else ''}: {said}"


def advice(gate: Gate) -> str:
    """What the outcome means for the change, in one or two sentences for somebody in a hurry."""
    if gate.outcome is Outcome.PASS:
        return "Every demand of the policy is kept: this may go ahead."
    broken = [c for c in gate.candidates if c.outcome is Outcome.VIOLATED]
    if broken:
        arms = "; ".join(f"{c.arm} ({_aspects(c, Outcome.VIOLATED)})" for c in broken)
        few = len(gate.candidates) > len(broken)
        more = f" {len(broken)} of {len(gate.candidates)} candidates break it." if few else ""
        return f"The policy is broken, so this may not go ahead: {arms}.{more}"
    still = [c for c in gate.candidates if c.outcome is Outcome.INCONCLUSIVE]
    arms = "; ".join(f"{c.arm} ({_aspects(c, Outcome.INCONCLUSIVE)})" for c in still)
    return f"The measurements do not decide yet whether the policy is kept: {arms}."


def _aspects(c: Candidate, outcome: Outcome) -> str:
    """What the decisions with this outcome are about: the evaluators that measured it."""
    metrics = [d.estimate.metric or str(d.cell) for d in c.decisions if d.counts_as is outcome]
    return ", ".join(dict.fromkeys(m.partition("/")[0].replace("_", " ") for m in metrics))


def title(gate: Gate) -> str:
    """The policy and the outcome of the whole gate."""
    return f"policy {gate.policy.name} {gate.policy.version}: {gate.outcome}"
