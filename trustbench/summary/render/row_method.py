"""The wording of a cell that another method than its row's measures, and of the row's own."""

from trustbench.summary.render import wording as w
from trustbench.summary.table.results import CellResult, Estimate, TableResult

LEGEND = "by: measured by another method than the row's; row: the row's own method"


def legend(result: TableResult) -> str:
    """The meaning of `by` and `row`, to follow the symbols; empty if no cell uses them."""
    return f"; {LEGEND}" if any(c.borrowed for c in result.cells) else ""


def by(cell: CellResult) -> str | None:
    """The arm of a cell that is not measured by its row's method; None for all other cells."""
    return f"by {cell.estimate.arm}" if cell.borrowed else None


def metric(cell: CellResult, own: Estimate) -> str | None:
    """The metric of the row's own effect, if it is not the cell's own."""
    name = w.contrast_name(str(own.metric), own.against, own.reference)
    if cell.measure is None or cell.registered is None:
        return name
    reference = cell.registered.reference
    same = name == w.contrast_name(cell.measure.metric, cell.measure.against, reference)
    return None if same else name


def verdict(own: Estimate) -> str:
    """The verdict of the row's own effect, which is exploratory."""
    return w.short(own.verdict) if own.verdict else ""


def line(cell: CellResult) -> str | None:
    """The row's own effect in one line; None if the cell is the row's or there is no effect.

    The verdict is exploratory, as everywhere outside of the registered cells.
    """
    own = cell.own
    if own is None:
        return None
    on = f" on {name}" if (name := metric(cell, own)) else ""
    word = f"; exploratory: {own.verdict.text}" if own.verdict else ""
    return f"row's own {own.arm}: {w.estimate_text(own)}{on}{word}"
