"""A gate for people: one line for each decision, the violated ones first."""

from collections.abc import Iterator

from trustbench.summary.decide import gate_wording as w
from trustbench.summary.decide.decisions import Decision, Outcome
from trustbench.summary.decide.gate import Gate
from trustbench.summary.render.escaping import visible

ORDER = (
    Outcome.VIOLATED,
    Outcome.UNMEASURED,
    Outcome.UNRELIABLE,
    Outcome.INCONCLUSIVE,
    Outcome.PASS,
)


def text(gate: Gate) -> str:
    """Renders the gate as plain text; control characters in names are marked."""
    return "\n".join(visible(line) for line in _lines(gate)) + "\n"


def ranked(decisions: tuple[Decision, ...]) -> list[Decision]:
    """Sorts decisions: those that need attention first, else in the order of the policy."""
    return sorted(decisions, key=lambda d: (d.counts_as is Outcome.PASS, ORDER.index(d.outcome)))


def _lines(gate: Gate) -> Iterator[str]:
    yield w.title(gate)
    yield w.advice(gate)
    yield w.counts(gate)
    for c in gate.candidates:
        yield ""
        yield f"{w.heading(c)}: {c.outcome}"
        if not c.decisions:
            yield "  the policy asks nothing of it"
        for d in ranked(c.decisions):
            yield f"  {w.SYMBOLS[d.outcome]} {w.sentence(d)}"
    yield ""
    yield w.rate(gate)
    yield from gate.notes
