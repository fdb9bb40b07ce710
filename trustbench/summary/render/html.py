"""The table as a fragment of HTML, for notebooks: no style sheet, no script, nothing loaded."""

import html
from collections.abc import Iterator, Sequence

from trustbench.contracts.aspects import Aspect
from trustbench.summary.render import marks
from trustbench.summary.render import wording as w
from trustbench.summary.render.escaping import visible
from trustbench.summary.stats.effects import Kind
from trustbench.summary.table.results import CellResult, TableResult

COLOURS = {Kind.HARM: "#fbe3e1", Kind.BENEFIT: "#dff1e4", Kind.INCONCLUSIVE: "#fdf5d8"}
"""Backgrounds of verdicts; the words say the same."""
STYLE = "text-align:left;vertical-align:top;color:#222"


def text(results: Sequence[TableResult]) -> str:
    """Every table as an HTML table with its caption."""
    return "\n".join("".join(_table(result)) for result in results)


def _table(result: TableResult) -> Iterator[str]:
    yield f"<table><caption>{_safe(w.caption(result))}</caption><thead><tr><th>method</th>"
    for name, metric, regime in w.column_heads(result):
        yield f'<th style="{STYLE}">{_safe(name)}<br>{_safe(metric)}<br>{_safe(regime)}</th>'
    yield "</tr></thead><tbody>"
    for source in Aspect:
        head = f"{source.letter} {source}"
        yield from _row(result, head, w.row_arm(result, source), w.row_cells(result, source))
    yield from _row(result, "reseed control", "baseline again", result.reseed)
    yield "</tbody></table>"


def _row(result: TableResult, head: str, below: str, cells: Sequence[CellResult]) -> Iterator[str]:
    yield f'<tr><th style="{STYLE}">{_safe(head)}<br>{_safe(below)}</th>'
    for cell in cells:
        colour = COLOURS.get(cell.verdict.kind)
        style = f"{STYLE};background:{colour}" if colour else STYLE
        yield f'<td style="{style}">{"<br>".join(map(_safe, _lines(result, cell)))}</td>'
    yield "</tr>"


def _lines(result: TableResult, cell: CellResult) -> Iterator[str]:
    """What a cell says, line by line, as the Markdown table does."""
    own = w.own_metric(result, cell)
    if own:
        yield own
    if cell.estimate.effect is not None:
        yield w.estimate_text(cell.estimate)
    yield f"{w.SIGNS[cell.verdict.kind].symbol} {cell.verdict.text}"
    yield from marks.warnings(cell)


def _safe(text: object) -> str:
    return html.escape(visible(str(text)))
