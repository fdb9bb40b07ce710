"""What is known about the interactions of methods before a run: registered, with references."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from trustbench.contracts.aspects import Aspect
from trustbench.store.records import PluginSpec
from trustbench.summary.render.escaping import visible
from trustbench.summary.render.markdown import escape
from trustbench.summary.table.registry import Table


@dataclass(frozen=True)
class Known:
    """What a table registers for one cell: the expected sign, which decides nothing."""

    cell: str
    source: Aspect
    target: Aspect
    method: str
    """The method for which the cell is registered."""
    expected: str
    references: tuple[str, ...]
    note: str | None


@dataclass(frozen=True)
class Remedy:
    """A registered mitigation in which an intervention takes part."""

    cell: str
    harmful: str
    by: str
    references: tuple[str, ...]


def known(table: Table, interventions: Iterable[PluginSpec]) -> list[Known]:
    """The off-diagonal cells of the rows of these methods' aspects, in the table's order."""
    aspects = {i.aspect for i in interventions}
    return [
        Known(
            f"{c.source.letter}→{c.target.letter}",
            c.source,
            c.target,
            c.intervention,
            c.expected,
            c.references,
            c.note,
        )
        for c in table.cells
        if c.source.value in aspects and not c.diagonal
    ]


def remedies(table: Table, interventions: Iterable[PluginSpec]) -> list[Remedy]:
    """The registered mitigations of harms that these methods are registered to cause."""
    names = {i.name for i in interventions}
    return [
        Remedy(
            f"{m.source.letter}→{m.target.letter}",
            "+".join(m.harmful),
            "+".join(m.by),
            m.references,
        )
        for m in table.mitigations
        if set(m.harmful) <= names
    ]


def lines(table: Table, interventions: Sequence[PluginSpec]) -> Iterator[str]:
    """One line for each known interaction, then one for each mitigation."""
    for k in known(table, interventions):
        note = f" {k.note[0].upper()}{k.note[1:]}." if k.note else ""
        yield (
            f"{k.cell} ({k.source} on {k.target}, registered for {k.method}): {_expectation(k)}. "
            f"{_cited(k.references)}{note}"
        )
    for r in remedies(table, interventions):
        yield f"{r.cell}: {r.by} is meant to remove the harm of {r.harmful}. {_cited(r.references)}"


def _expectation(k: Known) -> str:
    """The registered sign in words."""
    return {"none": "no effect expected", "mixed": "either sign is reported"}.get(
        k.expected, f"{k.expected} expected"
    )


def _cited(references: Sequence[str]) -> str:
    return f"See {', '.join(references)}." if references else "No source is registered."


def safe(text: str) -> str:
    r"""Text on one line that Markdown shows literally, and that links nobody.

    >>> print(safe("a|b <c>\n# @d"))
    a\|b &lt;c> &#35; &#64;d
    """
    return escape(visible(" ".join(text.split()))).replace("@", "&#64;").replace("# ", "&#35; ")


def cell(text: str) -> str:
    """The same inside a table or a sentence, where a number cannot begin a list.

    >>> safe("-0.5"), cell("-0.5")
    ('&#45;0.5', '-0.5')
    """
    return safe(f"x{text}")[1:]
