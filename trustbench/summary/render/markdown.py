"""The table as GitHub-flavoured Markdown, with the verdicts in full words."""

import re
from collections.abc import Iterator, Sequence

from trustbench.contracts.aspects import Aspect
from trustbench.summary.render import (
    factorial_wording,
    finding,
    marks,
    mitigation_wording,
    row_method,
    secondary_wording,
)
from trustbench.summary.render import wording as w
from trustbench.summary.render.escaping import one_line
from trustbench.summary.table.results import UTILITY, CellResult, Estimate, TableResult
from trustbench.summary.table.risk import risks

_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
_AT_START = re.compile(r"^(#|>|\+|-|\d+(?=[.)]))")


def escape(text: str) -> str:
    r"""Escapes text so that Markdown shows it literally, on one line and within one table cell.

    >>> print(escape("a|b <c> _d_"))
    a\|b &lt;c> \_d\_
    """
    escaped = _SPECIAL.sub(r"\\\1", one_line(text))
    escaped = _AT_START.sub(lambda m: "".join(f"&#{ord(c)};" for c in m[0]), escaped)
    return re.sub(r"&(?!#\d+;)", "&amp;", escaped).replace("<", "&lt;")


def unlinked(text: str) -> str:
    """Escapes text, and keeps `@name` and `#1` from becoming links where a forge shows it.

    >>> print(unlinked("0.5 of @you in #1"))
    &#48;.5 of &#64;you in &#35;1
    """
    return re.sub("(?<!&)#", "&#35;", escape(text)).replace("@", "&#64;")


def text(results: Sequence[TableResult]) -> str:
    """Every table as a Markdown document."""
    return "\n".join(["\n".join(_document(r)) for r in results] + [*_risks(results)])


def compact(results: Sequence[TableResult]) -> str:
    """Every table with verdicts and effects alone, for places that hold little text."""
    return "\n".join("\n".join(_compact(r)) for r in results)


def _compact(result: TableResult) -> Iterator[str]:
    yield f"## {escape(result.title)}\n"
    heads = [escape(name) for name, _, _ in w.column_heads(result)]
    rows = [
        [escape(w.row_arm(result, s)), *(_verdict(c) for c in w.row_cells(result, s))]
        for s in Aspect
    ]
    yield from _table(
        ["method", *heads], [*rows, ["reseed control", *map(_verdict, result.reseed)]]
    )


def _verdict(cell: CellResult) -> str:
    effect = cell.estimate.effect
    by = [f"{escape(by)}:"] if (by := row_method.by(cell)) else []
    shown = [w.number(effect.effect)] if effect is not None else []
    return " ".join([*by, escape(w.short(cell.verdict)), *shown])


def _document(result: TableResult) -> Iterator[str]:
    yield f"## {escape(result.title)}\n"
    yield from (f"- {escape(line)}" for line in finding.findings(result))
    yield f"\n{escape(w.caption(result))}.\n"
    heads = [f"{escape(a)}<br>{escape(m)}<br>{r}" for a, m, r in w.column_heads(result)]
    yield from _table(["method", *heads], list(_rows(result)))
    yield from _arms(result)
    yield from _secondary(result)
    yield from _factorials(result)
    yield from _mitigations(result)
    yield from _notes(result)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _rows(result: TableResult) -> Iterator[list[str]]:
    for source in Aspect:
        label = f"**{source.letter} {source}**<br>{escape(w.row_arm(result, source))}"
        yield [label, *(_cell(result, c) for c in w.row_cells(result, source))]
    yield ["**reseed control**<br>baseline again", *(_cell(result, c) for c in result.reseed)]


def _cell(result: TableResult, cell: CellResult) -> str:
    lines = [f"**{escape(by)}**"] if (by := row_method.by(cell)) else []
    own = w.own_metric(result, cell)
    if own:
        lines.append(escape(own))
    if cell.estimate.settings:
        lines.append(escape(w.at_settings(cell.estimate).lstrip()))
    if cell.estimate.effect is not None:
        lines.append(w.estimate_text(cell.estimate))
    if cell.target == UTILITY:
        lines += [f"{escape(w.bare(str(e.metric)))} {w.estimate_text(e)}" for e in cell.secondary]
    lines.append(f"{w.SIGNS[cell.verdict.kind].symbol} **{escape(cell.verdict.text)}**")
    lines += _warnings(cell)
    if cell.beyond_matched is not None:
        beyond = cell.beyond_matched
        lines.append(f"beyond matched accuracy {w.number(beyond.effect)} {w.interval(beyond)}")
    if cell.registered is not None:
        lines.append(f"expected: {cell.registered.expected}")
    if (row := row_method.line(cell)) is not None:
        lines.append(escape(row))
    return "<br>".join(lines)


def _warnings(cell: CellResult) -> Iterator[str]:
    if cell.unreliable:
        yield f"**unreliable**: {escape(cell.unreliable)}"
    if cell.estimate.below_floor:
        yield f"**below the utility floor**: {escape(cell.estimate.below_floor)}"


def _arms(result: TableResult) -> Iterator[str]:
    if all(a.printed for a in result.arms):
        return
    yield f"### All arms and doses\n\n{escape(w.exploratory_note())}; * printed above.\n"
    rows = []
    for arm in result.arms:
        star = r" \*" if arm.printed else ""
        star += " **below the utility floor**" if arm.below_floor else ""
        rows.append([escape(arm.label) + star, *(_brief(arm.estimates.get(t)) for t in w.TARGETS)])
    yield from _table(["arm", *(escape(h[0]) for h in w.column_heads(result))], rows)


def _brief(estimate: Estimate | None) -> str:
    if estimate is None:
        return "·"
    if estimate.effect is None or estimate.verdict is None:
        return escape(estimate.verdict.text) if estimate.verdict else ""
    return f"{w.estimate_text(estimate)}<br>{escape(estimate.verdict.text)}"


def _secondary(result: TableResult) -> Iterator[str]:
    rows = [
        [name, escape(what), str(e.regime), _read(e)]
        for name, what, e in secondary_wording.measured(result)
    ]
    rows += [
        [cell.name, escape(what), regime, escape(because)]
        for cell in (*result.cells, *result.utility)
        for what, because, regime in secondary_wording.absent_of(cell)
    ]
    if rows:
        yield f"### Secondary metrics\n\n{escape(w.exploratory_note())}.\n"
        yield from _table(["cell", "metric", "regime", "effect"], rows)


def _read(e: Estimate) -> str:
    """An effect, also minus that of random groups if the metric compares groups."""
    less = w.less_chance(e)
    return w.estimate_text(e) + marks.mark(e) + (f"<br>{less}" if less else "")


def _factorials(result: TableResult) -> Iterator[str]:
    for design in result.factorials:
        yield f"### All subsets of {escape(', '.join(design.factors))} ({design.regime})\n"
        yield f"{escape(factorial_wording.NOTE)}\n"
        # the fifth is our own number, which Markdown would otherwise take for a list
        rows = [
            [*map(escape, row[:4]), row[4], escape(row[5])]
            for row in factorial_wording.rows(design)
        ]
        yield from _table(["column", "metric", "contrast", "of", "effect", "verdict"], rows)
        lines = [
            *factorial_wording.worse_than_the_sum(design),
            *factorial_wording.without_contrasts(design),
        ]
        yield from (f"- {escape(line)}" for line in lines)
        yield ""


def _mitigations(result: TableResult) -> Iterator[str]:
    if not result.mitigations:
        return
    yield f"### Mitigations\n\n{escape(mitigation_wording.NOTE)}\n"
    rows = []
    for row in map(mitigation_wording.row, result.mitigations):
        rows.append([*map(escape, row[:3]), *row[3:6], *map(escape, row[6:])])
    yield from _table(list(mitigation_wording.HEAD), rows)


def _risks(results: Sequence[TableResult]) -> Iterator[str]:
    found = risks(results)
    if found:
        yield f"## Likelihood and severity\n\n{escape(w.RISK_NOTE)}\n"
        yield from _table(list(w.RISK_HEAD), [w.risk_row(r) for r in found])


def _notes(result: TableResult) -> Iterator[str]:
    lines = [f"{', '.join(cells)}: {reason}" for reason, cells in w.footnotes(result)]
    lines += w.declared(result)
    lines += [*result.notes, *w.registered_notes(result)]
    if lines:
        yield "### Notes\n"
        yield from (f"- {escape(line)}" for line in lines)
        yield ""
