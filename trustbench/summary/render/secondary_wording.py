"""The wording of secondary metrics: each with its effect, or the reason for none."""

from collections.abc import Iterator, Sequence

from trustbench.summary.render.wording import measured_as
from trustbench.summary.stats.effects import Kind, Verdict
from trustbench.summary.table.results import CellResult, Estimate, TableResult

SAID = (Kind.NOT_APPLICABLE, Kind.FAILED)
"""Reasons that are shown. A metric that nothing here measures is left out."""


def measured(result: TableResult) -> Iterator[tuple[str, str, Estimate]]:
    """(cell, what was measured, estimate) of every secondary effect."""
    for cell in (*result.cells, *result.utility):
        yield from ((cell.name, what, e) for what, e in named(cell) if e.effect is not None)


def absent(result: TableResult) -> list[tuple[str, list[str]]]:
    """(verdict and reason, the metrics that have no effect for it), in the order of the table."""
    found: dict[str, list[str]] = {}
    for cell in (*result.cells, *result.utility):
        for what, verdict, regime in absent_of(cell):
            found.setdefault(verdict, []).append(f"{cell.name} {what} ({regime})")
    return list(found.items())


def absent_of(cell: CellResult) -> Sequence[tuple[str, str, str]]:
    """(metric, verdict and reason, regime) of a cell's secondary metrics without an effect."""
    return [
        (what, e.verdict.sentence, str(e.regime))
        for what, e in named(cell)
        if e.effect is None and e.verdict is not None and _reason_shown(cell, e.verdict)
    ]


def _reason_shown(cell: CellResult, verdict: Verdict) -> bool:
    """Whether a reason is shown; for an arm that failed, the cell's own is enough."""
    own = verdict == cell.estimate.verdict and verdict.kind is Kind.FAILED
    return verdict.kind in SAID and not own


def named(cell: CellResult) -> Iterator[tuple[str, Estimate]]:
    """(what was measured, estimate) of a cell's secondary metrics; other arms are named."""
    for e in cell.secondary:
        what = measured_as(e)
        yield what if e.arm == cell.estimate.arm else f"{what}, {e.arm}", e
