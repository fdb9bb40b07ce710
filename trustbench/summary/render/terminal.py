"""The table on a terminal: a grid from 100 columns on, a list of cells below."""

import io
from collections.abc import Iterator, Sequence

from rich.box import HORIZONTALS, SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

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
from trustbench.summary.render.escaping import neutral
from trustbench.summary.table.results import UTILITY, CellResult, Estimate, TableResult

GRID_WIDTH = 116
"""Narrower terminals get a list."""


def text(results: Sequence[TableResult], width: int = 120, colour: bool = False) -> str:
    """The tables as text of at most `width` columns; without colour it has no escape codes."""
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
    )
    for result in results:
        console.print(renderable(result, width))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def show_tables(results: Sequence[TableResult], console: Console) -> None:
    """Prints the tables: as wide as the terminal and in colour, or as 120 columns of plain text."""
    if not console.is_terminal:  # a file or a pipe: rich would guess 80 columns
        console.file.write(text(results))
        return
    for result in results:
        console.print(renderable(result, console.width))


def renderable(result: TableResult, width: int) -> RenderableType:
    """Everything printed for one table."""
    result = neutral(result)
    body = _grid(result) if width >= GRID_WIDTH else _list(result)
    parts: list[RenderableType] = [
        Text(f"\n{result.title}", style="bold"),
        Text(w.caption(result), style="dim"),
        *(Text(line) for line in finding.findings(result)),
        Text(""),
        body,
        Text(f"{w.legend()}; {w.LEGEND_MORE}{row_method.legend(result)}", style="dim"),
        *_arms(result, width),
        *_secondary(result),
        *_beyond_pairs(result),
        *_notes(result),
    ]
    return Group(*parts)


def _head(name: str, metric: str, regime: str) -> Text:
    head = Text(name, style="bold")
    names = [m if len(m) <= 16 else m.replace("_", " ") for m in metric.split(" / ")]
    head.append("\n" + " /\n".join(names), style="not bold")
    return head.append(f"\n{regime}", style="not bold dim")


def _grid(result: TableResult) -> Grid:
    """Five rows and the reseed control, six columns."""
    grid = Grid(box=HORIZONTALS, padding=0, show_lines=True, show_edge=False)
    grid.add_column(Text("method", style="bold"), min_width=16, max_width=18, overflow="fold")
    for head in w.column_heads(result):
        grid.add_column(_head(*head), min_width=15, max_width=16, overflow="fold")
    for source in Aspect:
        label = Text(f"{source.letter} {source.value}\n", style="bold")
        label.append(w.row_arm(result, source).replace(" ", "\n"), style="not bold")
        grid.add_row(label, *(_cell(result, c) for c in w.row_cells(result, source)))
    control = Text("reseed control\n", style="bold").append("baseline again", style="not bold")
    grid.add_row(control, *(_cell(result, c) for c in result.reseed))
    return grid


def _cell(result: TableResult, cell: CellResult) -> Text:
    """Metric (if not the column's), effect, interval, verdict, and additions."""
    out = Text()
    if (by := row_method.by(cell)) is not None:
        out.append(by.replace(" ", "\n").replace("\n", " ", 1) + "\n", style="bold")
    own = w.own_metric(result, cell)
    if own:
        out.append(own.split("/")[0].replace("_", " ") + "\n", style="dim")
    if cell.estimate.settings:
        out.append(w.at_settings(cell.estimate).lstrip() + "\n", style="dim")
    effect = cell.estimate.effect
    if effect is not None:
        first = w.number(effect.effect)
        for beside in cell.secondary if cell.target == UTILITY else ():
            first += f" / {w.number(beside.effect.effect)}" if beside.effect else " / n/a"
        out.append(f"{first}\n", style="bold")
        out.append(w.interval(effect).replace(", ", ",") + "\n")
    out.append(w.short(cell.verdict), style=w.SIGNS[cell.verdict.kind].style)
    for warning in marks.warnings(cell):
        out.append(f"\n{warning}", style="bold yellow")
    last = [f"n={effect.n}"] if effect is not None else []
    last += [f"exp. {w.EXPECTED[cell.registered.expected]}"] if cell.registered else []
    if last:
        out.append("\n" + "  ".join(last), style="dim")
    return out.append("".join(f"\n{line}" for line in _beside(cell)), style="dim")


def _beside(cell: CellResult) -> Iterator[str]:
    """Below a cell: its effect beyond matched accuracy, and what the row's own method does."""
    if cell.beyond_matched is not None:
        yield f"beyond {w.number(cell.beyond_matched.effect)}"
        yield w.interval(cell.beyond_matched).replace(", ", ",")
    own = cell.own
    if own is not None and own.effect is not None:
        yield f"row {w.number(own.effect.effect)}"
        yield w.interval(own.effect).replace(", ", ",")
        name = row_method.metric(cell, own)
        if name is not None:
            yield f"on {w.bare(name).replace('_', ' ')}"
        yield row_method.verdict(own)


def _list(result: TableResult) -> RenderableType:
    """The same cells, one under another."""
    parts: list[RenderableType] = []
    heads = dict(zip(w.TARGETS, w.column_heads(result), strict=True))
    for source in Aspect:
        arm = w.row_arm(result, source)
        parts.append(Text(f"{source.letter} {source.value}: {arm}", style="bold"))
        parts += [_line(result, c, heads) for c in w.row_cells(result, source)]
    parts.append(Text("reseed control: baseline again", style="bold"))
    parts += [_line(result, c, heads) for c in result.reseed]
    return Group(*parts)


def _line(
    result: TableResult, cell: CellResult, heads: dict[str, tuple[str, str, str]]
) -> RenderableType:
    metric = w.own_metric(result, cell) or heads[cell.target][1].split(" / ")[0]
    regime = cell.measure.regime if cell.measure else ""
    line = Text(f"{cell.name}  ")
    if (by := row_method.by(cell)) is not None:
        line.append(f"{by}  ", style="bold")
    line.append(w.short(cell.verdict), style=w.SIGNS[cell.verdict.kind].style)
    for warning in marks.warnings(cell):
        line.append(f"  {warning}", style="bold yellow")
    if cell.estimate.effect is not None:
        line.append(f"  {w.estimate_text(cell.estimate)}")
        line.append(f"  {metric}{w.at_settings(cell.estimate)} ({regime})", style="dim")
    if cell.beyond_matched is not None:
        beyond = cell.beyond_matched
        line.append(f"  beyond {w.number(beyond.effect)} {w.interval(beyond)}", style="dim")
    if cell.registered is not None:
        line.append(f"  exp. {cell.registered.expected}", style="dim")
    if (row := row_method.line(cell)) is not None:
        line.append(f"  {row}", style="dim")
    for beside in cell.secondary if cell.target == UTILITY else ():
        line.append(f"  {w.bare(str(beside.metric))} {w.estimate_text(beside)}", style="dim")
    return Padding(line, (0, 0, 0, 2))


def _arms(result: TableResult, width: int) -> Iterator[RenderableType]:
    """Every arm's effects, if there are more arms than the table prints."""
    if all(a.printed for a in result.arms):
        return
    yield Text(f"\nAll arms and doses ({w.exploratory_note()})", style="bold")
    if width < GRID_WIDTH:
        for arm in result.arms:
            yield Text(marks.marked(arm))
            for target, estimate in arm.estimates.items():
                word = f"{_word(estimate)}  " if estimate.effect else ""
                line = f"{target}  {word}{w.estimate_text(estimate)}{marks.mark(estimate)}"
                yield Padding(Text(line), (0, 0, 0, 2))
        return
    yield Text("* printed above", style="dim")
    grid = Grid(box=SIMPLE_HEAD, padding=0, show_edge=False)
    grid.add_column("arm", min_width=16, max_width=18, overflow="fold")
    for head in w.column_heads(result):
        grid.add_column(Text(head[0]), min_width=15, max_width=16)
    for arm in result.arms:
        grid.add_row(Text(marks.starred(arm)), *(_brief(arm.estimates.get(t)) for t in w.TARGETS))
    yield grid


def _word(estimate: Estimate) -> str:
    return w.short(estimate.verdict) if estimate.verdict else ""


def _brief(estimate: Estimate | None) -> Text:
    if estimate is None:
        return Text("·", style="dim")
    if estimate.effect is None or estimate.verdict is None:
        return Text(_word(estimate), style="dim")
    out = Text(f"{w.number(estimate.effect.effect)} {w.SIGNS[estimate.verdict.kind].symbol}")
    out.append(f"\n{w.interval(estimate.effect).replace(', ', ',')}", style="dim")
    return out.append(f"\nn={estimate.effect.n}", style="dim")


def _secondary(result: TableResult) -> Iterator[RenderableType]:
    rows, absent = list(secondary_wording.measured(result)), secondary_wording.absent(result)
    if not rows and not absent:
        return
    yield Text(f"\nSecondary metrics ({w.exploratory_note()})", style="bold")
    for name, what, e in rows:
        less = w.less_chance(e)
        shown = f"{w.estimate_text(e)}{f', {less}' if less else ''}{marks.mark(e)}"
        line = f"{name}  {shown}  {what} ({e.regime})"
        yield Padding(Text(line), (0, 0, 0, 2))
    for because, metrics in absent:
        yield Padding(Text(f"{', '.join(metrics)}: {because}", style="dim"), (0, 0, 0, 2))


def _beyond_pairs(result: TableResult) -> Iterator[RenderableType]:
    """Factorial designs, and which method removes which harm."""
    for design in result.factorials:
        head = f"\nAll subsets of {', '.join(design.factors)} ({design.regime})"
        yield Text(head, style="bold")
        yield Text(factorial_wording.NOTE, style="dim")
        for target, metric, kind, of, effect, verdict in factorial_wording.rows(design):
            line = f"{target:<15} {kind:<17} {of}: {effect}  {verdict}  {metric}"
            yield Padding(Text(line), (0, 0, 0, 2))
        for line in factorial_wording.worse_than_the_sum(design):
            yield Padding(Text(line, style="bold"), (0, 0, 0, 2))
        for line in factorial_wording.without_contrasts(design):
            yield Padding(Text(line, style="dim"), (0, 0, 0, 2))
    if result.mitigations:
        yield Text("\nMitigations", style="bold")
        yield Text(mitigation_wording.NOTE, style="dim")
    for m in result.mitigations:
        values = mitigation_wording.row(m)
        pairs = zip(mitigation_wording.HEAD, values, strict=True)
        name, *rest = (f"{k}: {v}" if k != "cell" else v for k, v in pairs if v)
        yield Padding(Text(f"{name}  " + "; ".join(rest)), (0, 0, 0, 2))


def _notes(result: TableResult) -> Iterator[RenderableType]:
    lines = [f"{', '.join(cells)}: {reason}" for reason, cells in w.footnotes(result)]
    lines += w.declared(result)
    lines += [*result.notes, *w.registered_notes(result)]
    if not lines:
        return
    yield Text("\nNotes", style="bold")
    for line in lines:
        yield Padding(Text(line, style="dim"), (0, 0, 0, 2))
