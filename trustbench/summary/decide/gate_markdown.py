"""A gate as GitHub-flavoured Markdown, for step summaries and merge requests."""

from collections.abc import Iterator

from trustbench.summary.decide import gate_wording as w
from trustbench.summary.decide.decisions import Decision, Outcome
from trustbench.summary.decide.gate import Candidate, Gate
from trustbench.summary.decide.gate_terminal import ranked
from trustbench.summary.render.escaping import visible
from trustbench.summary.render.markdown import unlinked

HEAD = ("", "what", "against", "asked", "measured", "outcome")


def text(gate: Gate) -> str:
    """The gate as a Markdown document."""
    return "\n".join(_lines(gate)) + "\n"


def _lines(gate: Gate) -> Iterator[str]:
    yield f"## {_safe(w.title(gate))}\n"
    yield f"**{_safe(w.advice(gate))}**\n"
    yield f"{_safe(gate.policy.description)}\n"
    yield f"{_safe(w.counts(gate))}.\n"
    for c in gate.candidates:
        yield from _candidate(c)
    yield f"{_safe(w.rate(gate))}\n"
    yield from (f"- {_safe(note)}" for note in gate.notes)


def _candidate(c: Candidate) -> Iterator[str]:
    yield f"### {_safe(w.heading(c))}: {c.outcome}\n"
    violated = [d for d in c.decisions if d.outcome is Outcome.VIOLATED]
    yield from (f"- {_safe(w.sentence(d))}" for d in violated)
    yield ""
    if c.decisions:
        yield f"| {' | '.join(HEAD)} |"
        yield f"|{'---|' * len(HEAD)}"
        yield from (f"| {' | '.join(_row(d))} |" for d in ranked(c.decisions))
    else:
        yield "The policy asks nothing of it."
    yield ""


def _row(d: Decision) -> list[str]:
    more = f"<br>{_safe(d.reason)}" if d.reason else ""
    return [
        w.SYMBOLS[d.outcome],
        _safe(w.what(d)),
        _safe(d.against or ""),
        _safe(w.requirement(d)),
        w.measured(d),
        f"**{_safe(w.outcome(d))}**{more}",
    ]


def _safe(text: str) -> str:
    """Escapes text for literal display, on one line and without links."""
    return unlinked(visible(" ".join(text.split())))
