"""How secondary metrics are told: each with its effect, or with the reason why it has none."""

from collections.abc import Iterator, Sequence

from trustbench.summary.effects import Kind
from trustbench.summary.render.wording import measured_as
from trustbench.summary.results import CellResult, Estimate, TableResult

SAID = (Kind.NOT_APPLICABLE, Kind.FAILED)
"""What is told of a metric without an effect. One that nothing here measures is left out."""


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
    return [(what, because(e), str(e.regime)) for what, e in named(cell) if _said(cell, e)]


def _said(cell: CellResult, e: Estimate) -> bool:
    """Whether a reason is told; of an arm that failed the cell's own is enough."""
    if e.effect is not None or e.verdict is None or e.verdict.kind not in SAID:
        return False
    return e.verdict.kind is not Kind.FAILED or e.verdict != cell.estimate.verdict


def named(cell: CellResult) -> Iterator[tuple[str, Estimate]]:
    """(what was measured, estimate) of a cell's secondary metrics; other arms are named."""
    for e in cell.secondary:
        what = measured_as(e)
        yield what if e.arm == cell.estimate.arm else f"{what}, {e.arm}", e


def because(e: Estimate) -> str:
    """The verdict of an estimate, and what its parenthesis leaves out of the reason.

    >>> from trustbench.summary.effects import Verdict
    >>> because(Estimate("a", {}, None, "x/y", verdict=Verdict(Kind.FAILED, "1 of 2", "too late")))
    'failed (1 of 2): too late'
    """
    assert e.verdict is not None
    more = e.verdict.reason
    return e.verdict.text + (f": {more}" if more and more != e.verdict.detail else "")
