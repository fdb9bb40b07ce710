"""A choice among arms for people: terminal lines and GitHub-flavoured Markdown."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from trustbench.summary.decide.comparison import DRAWS, SPREAD, Harm, Option
from trustbench.summary.decide.decisions import Outcome
from trustbench.summary.decide.gate_terminal import ranked
from trustbench.summary.decide.gate_wording import measured, requirement, sentence, what
from trustbench.summary.decide.policy_risk import PolicyRisk
from trustbench.summary.decide.select import Selection
from trustbench.summary.render import wording as w
from trustbench.summary.render.escaping import visible
from trustbench.summary.render.known_interactions import cell, safe
from trustbench.summary.render.marks import marked
from trustbench.summary.render.text_table import aligned
from trustbench.summary.stats.effects import Effect

SCORE_NOTE = (
    "Score: the harms of an arm against the baseline, each as a share of the table's unacceptable "
    "change, summed by the policy's weights (they sum to 1); positive is worse, the baseline has "
    "0. Front: no other scored arm is shown to be no worse on every target (by the smallest "
    "difference of interest) and better on one. "
    f"Wins: the share of {DRAWS} draws of the weights, each within {100 * SPREAD:zg} % of its own, "
    "under which the arm is chosen. Intervals are 95 % paired t intervals over replicates. A "
    "method that releases explanations or sets counts by what its row registers that the release "
    "costs; what it is good for is not in the score: demand that by a limit."
)
RISK_NOTE = (
    "Likelihood x severity of each measured cell, times the target's weight over the largest "
    "weight; bands by the policy. A band in parentheses is one that the interval reaches too."
)
SHOWN = 2
"""The number of demands that a terminal shows per arm; Markdown and JSON show all."""
ARM_HEAD = ("arm", "limits", "score", "beyond the chosen", "front", "wins")
TRADE_HEAD = ("target", "weight", "metric", "effect", "share of unacceptable", "traded")
RISK_HEAD = ("cell", "likelihood", "severity", "risk", "weight", "weighted", "band")


class Ours(str):
    """Numbers and words of our own, free of Markdown markup."""

    __slots__ = ()


class TextTable(NamedTuple):
    """A table to print: a title, a head and rows of plain text."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def terminal(selections: Sequence[Selection], risks: Sequence[PolicyRisk]) -> str:
    """Plain text; control characters in names are marked."""
    lines: list[str] = []
    for s in selections:
        lines += [headline(s), ""]
        for rows in tables(s):
            lines += [rows.title, *aligned(rows.head, rows.rows), ""]
        lines += [f"{o.label}: {why}" for o in s.options if (why := _brief(o))]
        lines += ["", *s.notes, SCORE_NOTE, ""]
    if risks:
        rows = risk_rows(risks)
        lines += [rows.title, *aligned(rows.head, rows.rows), RISK_NOTE]
    return "\n".join(visible(line) for line in lines).rstrip("\n") + "\n"


def markdown(selections: Sequence[Selection], risks: Sequence[PolicyRisk]) -> str:
    """A Markdown document."""
    lines: list[str] = []
    for s in selections:
        lines += [f"## {safe(headline(s))}", "", safe(s.policy.description), ""]
        for rows in [*tables(s), _harms(s)]:
            lines += [f"### {safe(rows.title)}", "", *_table(rows), ""]
        lines += [f"- **{safe(o.label)}**: {safe(t)}" for o in s.options for t in _failings(o)]
        lines += ["", *(f"- {safe(note)}" for note in s.notes), "", safe(SCORE_NOTE), ""]
    if risks:
        rows = risk_rows(risks)
        lines += [f"## {safe(rows.title)}", "", safe(RISK_NOTE), "", *_table(rows)]
    return "\n".join(lines).rstrip("\n") + "\n"


def headline(s: Selection) -> str:
    """The choice in one line."""
    policy = f"policy {s.policy.name} {s.policy.version} on {s.title}"
    if s.best is None:
        return f"{policy}: no arm is chosen ({s.outcome})"
    kept = " (the baseline: no intervention)" if not s.best.interventions else ""
    return f"{policy}: {s.best.label}{kept}, {s.outcome}"


def tables(s: Selection) -> Iterator[TextTable]:
    """The arms, and the trade-offs of the chosen one."""
    yield TextTable("arms, best first", ARM_HEAD, [_arm(s, o) for o in s.options])
    if s.best is not None and s.best.interventions:
        rows = [_trade(s, s.best.harms[t]) for t in s.policy.weights]
        yield TextTable(f"what {s.best.label} trades against the baseline", TRADE_HEAD, rows)


def _arm(s: Selection, o: Option) -> list[str]:
    if o.label == s.chosen:
        beyond = "chosen"
    else:
        tied = " tied" if o.tied else ""
        beyond = Ours(f"{share(o.beyond_best)}{tied}") if o.beyond_best else ""
    front = {True: "yes", False: "", None: "not scored"}[o.on_front]
    if o.dominated_by:
        front = f"dominated by {', '.join(o.dominated_by)}"
    return [
        marked(o),
        str(o.outcome),
        share(o.score) if o.score else "not scored",
        beyond,
        front,
        "" if o.wins is None else f"{100 * o.wins:z.1f} %",
    ]


def share(effect: Effect, factor: float = 1.0) -> Ours:
    """An effect with its interval and n."""
    low, high = w.number(effect.low * factor), w.number(effect.high * factor)
    return Ours(f"{w.number(effect.effect * factor)} [{low}, {high}] {w.sample(effect)}")


def _trade(s: Selection, harm: Harm) -> list[str]:
    weight = f"{s.policy.weights[harm.target]:z.3f}"
    name = w.contrast_name(harm.metric, harm.against, harm.reference)
    metric = f"{name} ({harm.regime})"
    effect = harm.effect
    if effect is None:
        return [harm.target, weight, metric, str(harm.missing), "", "not measured"]
    return [
        harm.target,
        weight,
        metric,
        share(effect),
        _share_of_unacceptable(harm),
        traded(effect),
    ]


def _share_of_unacceptable(harm: Harm) -> str:
    return share(harm.effect, 1 / harm.unacceptable) if harm.effect else str(harm.missing)


def traded(effect: Effect) -> str:
    """What the interval says about the sign."""
    if effect.low > 0:
        return "▲ worse"
    if effect.high < 0:
        return "▼ better"
    return "= the same" if effect.low == effect.high == 0 else "? sign not clear"


def _harms(s: Selection) -> TextTable:
    """Every arm's harm on every target, as a share of the unacceptable change."""
    rows = [
        [o.label, *(_share_of_unacceptable(o.harms[t]) for t in s.policy.weights)]
        for o in s.options
    ]
    title = "harm against the baseline, as a share of the unacceptable change"
    return TextTable(title, ["arm", *s.policy.weights], rows)


def _brief(o: Option) -> str:
    """The first demands that exclude an arm, and the number of further ones."""
    failing = [d for d in ranked(o.decisions) if d.counts_as is not Outcome.PASS]
    said = [
        f"{what(d)} {requirement(d)}: {measured(d)} {_outcome_text(d.outcome)}"
        for d in failing[:SHOWN]
    ]
    if len(failing) > SHOWN:
        said.append(f"{len(failing) - SHOWN} more (--format md)")
    if o.unscored:
        said.append(f"not scored: {o.unscored}")
    return "; ".join(" ".join(t.split()) for t in said)


def _outcome_text(outcome: Outcome) -> str:
    return "not measured" if outcome is Outcome.UNMEASURED else str(outcome)


def _failings(o: Option) -> Iterator[str]:
    """The demands that exclude an arm, or leave it in doubt."""
    for d in ranked(o.decisions):
        if d.counts_as is not Outcome.PASS:
            yield sentence(d)
    if o.unscored:
        yield f"not scored: {o.unscored}"


def risk_rows(risks: Sequence[PolicyRisk]) -> TextTable:
    """The likelihood x severity list, worst first."""
    rows = []
    for r in risks:
        name = f"{r.risk.source.letter}→{r.risk.target.letter}"
        factors = [Ours(w.share(i)) for i in (r.risk.likelihood, r.risk.severity, r.risk.risk)]
        rows.append([name, *factors, f"{r.weight:z.2f}", Ours(w.share(r.weighted)), band(r)])
    return TextTable("risk by the policy's priorities, worst first", RISK_HEAD, rows)


def band(r: PolicyRisk) -> str:
    """The band, and those that the interval also reaches."""
    reached = dict.fromkeys(str(b) for b in (r.lowest, r.highest) if b is not r.band)
    return f"{r.band} (or {' or '.join(reached)})" if reached else str(r.band)


def _table(rows: TextTable) -> list[str]:
    whole = [[c if isinstance(c, Ours) else cell(c) for c in row] for row in rows.rows]
    head = f"| {' | '.join(map(safe, rows.head))} |"
    return [head, f"|{'---|' * len(rows.head)}", *(f"| {' | '.join(r)} |" for r in whole)]
