"""A cell that is measured by another method than its row's says so, and shows the row's own."""

from trustbench.summary.render import wording as w
from trustbench.summary.table.results import CellResult, Estimate, TableResult

LEGEND = "by: measured by another method than the row's; row: the row's own method"


def legend(result: TableResult) -> str:
    """What `by` and `row` mean, to follow the symbols; empty where no cell says them."""
    return f"; {LEGEND}" if any(c.borrowed for c in result.cells) else ""


def by(cell: CellResult) -> str | None:
    """The arm of a cell that is not measured by its row's method; None for any other cell."""
    return f"by {cell.estimate.arm}" if cell.borrowed else None


def metric(cell: CellResult, own: Estimate) -> str | None:
    """What the row's own effect is measured by, where that is not the cell's own metric."""
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
